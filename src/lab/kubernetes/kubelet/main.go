// A stand-in for the kubelet: it gives the pods of its node a network, runs the few programs that the lab has, and
// answers `kubectl exec` and `kubectl logs`. kwok says of all pods that they run, and gives them their addresses.
//
//	kubelet          as the node of /etc/kubernetes/kubelet.conf
//	kubelet reset    takes away what the pods have here; the bridge and flannel's interface stay, as with kubeadm
//
// What it started runs on without it: containers are units of systemd, networks are namespaces with names.
//
// The module's Go is as old as this Kubernetes; the names in its patterns of paths are not.
//
//go:debug httpmuxgo121=0
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	kubeconfig = "/etc/kubernetes/kubelet.conf"
	authority  = "/etc/kubernetes/pki/ca.crt"
	flags      = "/var/lib/kubelet/kubeadm-flags.env"
	port       = 10250
)

type kubelet struct {
	name   string
	api    kubernetes.Interface
	pods   corelisters.PodLister
	nodes  corelisters.NodeLister
	wake   chan struct{}
	runs   map[string]*run // by the pod's uid
	routed string          // what flannel was last told
}

func main() {
	log.SetFlags(0)
	if len(os.Args) > 1 && os.Args[1] == "reset" {
		reset()
		return
	}
	name := nodeName()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	check(err)
	api, err := kubernetes.NewForConfig(config)
	check(err)
	mine := informers.NewSharedInformerFactoryWithOptions(api, 0, informers.WithTweakListOptions(
		func(options *metav1.ListOptions) {
			options.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", name).String()
		}))
	all := informers.NewSharedInformerFactory(api, 0)
	k := &kubelet{
		name:  name,
		api:   api,
		pods:  mine.Core().V1().Pods().Lister(),
		nodes: all.Core().V1().Nodes().Lister(),
		wake:  make(chan struct{}, 1),
		runs:  map[string]*run{},
	}
	changed := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { k.again() },
		UpdateFunc: func(any, any) { k.again() },
		DeleteFunc: func(any) { k.again() },
	}
	_, err = mine.Core().V1().Pods().Informer().AddEventHandler(changed)
	check(err)
	_, err = all.Core().V1().Nodes().Informer().AddEventHandler(changed)
	check(err)
	mine.Start(nil)
	all.Start(nil)
	go k.serve()
	mine.WaitForCacheSync(nil)
	all.WaitForCacheSync(nil)
	for range k.wake {
		k.sync()
	}
}

// nodeName is the host's name, unless kubeadm was told another.
func nodeName() string {
	name, err := os.Hostname()
	check(err)
	told, err := os.ReadFile(flags)
	if err != nil {
		return name
	}
	for _, word := range strings.Fields(strings.ReplaceAll(string(told), `"`, " ")) {
		if other, found := strings.CutPrefix(word, "--hostname-override="); found {
			name = other
		}
	}
	return name
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// again has everything looked at, soon and once.
func (k *kubelet) again() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *kubelet) after(delay time.Duration) {
	time.AfterFunc(delay, k.again)
}

// sync makes the node what its pods want it to be: first what is to go, then what is to come.
func (k *kubelet) sync() {
	node, err := k.nodes.Get(k.name)
	if err != nil {
		return
	}
	k.register(node)
	pods, err := k.pods.List(labels.Everything())
	check(err)
	here := map[string]bool{}
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded &&
			pod.Status.Phase != corev1.PodFailed {
			here[string(pod.UID)] = true
		}
	}
	k.remove(here)
	for _, pod := range pods {
		if here[string(pod.UID)] && pod.Labels["app"] == "flannel" && isWell(pod) {
			k.retried(k.flannel(pod, node))
		}
	}
	for _, pod := range pods {
		if !here[string(pod.UID)] {
			continue
		}
		if err := connect(pod, node); err != nil {
			k.retried(fmt.Errorf("network of %s: %w", pod.Name, err))
			continue
		}
		k.retried(k.contain(pod))
	}
}

// retried says what failed, and has it tried again in a while.
func (k *kubelet) retried(err error) {
	if err != nil {
		log.Print(err)
		k.after(5 * time.Second)
	}
}

// register says where this kubelet is reached; until it does, kwok answers for the node.
func (k *kubelet) register(node *corev1.Node) {
	if node.Status.DaemonEndpoints.KubeletEndpoint.Port == port {
		return
	}
	patch := fmt.Sprintf(`{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":%d}},
		"addresses":[{"type":"InternalDNS","address":%q}]}}`, port, k.name)
	_, err := k.api.CoreV1().Nodes().PatchStatus(context.TODO(), k.name, []byte(patch))
	k.retried(err)
}

// remove takes away what belongs to pods that are no more.
func (k *kubelet) remove(here map[string]bool) {
	for uid := range k.runs {
		if !here[uid] {
			delete(k.runs, uid)
		}
	}
	for _, uid := range units() {
		if !here[uid] {
			stop(uid)
		}
	}
	for _, uid := range networks() {
		if !here[uid] {
			disconnect(uid)
		}
	}
}

func reset() {
	for _, uid := range units() {
		stop(uid)
	}
	for _, uid := range networks() {
		disconnect(uid)
	}
	check(os.RemoveAll(podsDir))
	check(os.RemoveAll(logsDir))
	// Where volumes were mounted: systemd makes the places. Whatever else is in one stays.
	for _, place := range []string{
		"/var/lib/kube-proxy", "/etc/coredns", "/run/secrets/kubernetes.io/serviceaccount",
		"/run/secrets/kubernetes.io", "/run/secrets",
	} {
		_ = os.Remove(place)
	}
}

// does runs a program, and says what it said when it fails.
func does(words ...string) error {
	said, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(said)))
	}
	return nil
}

// all does one thing after the other, a line each, until one fails.
func all(lines string) error {
	for _, line := range strings.Split(lines, "\n") {
		if words := strings.Fields(line); len(words) > 0 {
			if err := does(words...); err != nil {
				return err
			}
		}
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// The containers that run: those of the two programs that the lab has. One is a unit of systemd's, in its pod's network
// and with its pod's volumes.

const (
	programs = "/usr/local/lib/control-plane"
	podsDir  = "/var/lib/kubelet/pods"
	logsDir  = "/var/log/pods"

	// What kwok heeds, and whether it was the kubelet that said so.
	trouble = "vmstation.lab/pod"
	exited  = "vmstation.lab/exited"

	patience = 3 * time.Second // One that runs for so long is well.
)

// run is what the kubelet knows of a pod's container.
type run struct {
	pid      int
	since    time.Time
	failures int
	next     time.Time
}

func isWell(pod *corev1.Pod) bool {
	_, is := pod.Annotations[trouble]
	return !is && pod.Status.Phase == corev1.PodRunning
}

// program tells what is run for an image, if anything is.
func program(container corev1.Container) string {
	image, _, _ := strings.Cut(filepath.Base(container.Image), ":")
	if image == "kube-proxy" || image == "coredns" {
		return filepath.Join(programs, image)
	}
	return ""
}

func unit(uid string) string {
	return "pod-" + uid + ".service"
}

// units tells of which pods there is a container.
func units() []string {
	var found []string
	listed := output("systemctl", "list-units", "--all", "--plain", "--no-legend", "pod-*.service")
	for _, line := range strings.Split(listed, "\n") {
		if words := strings.Fields(line); len(words) > 0 {
			uid := strings.TrimSuffix(strings.TrimPrefix(words[0], "pod-"), ".service")
			found = append(found, uid)
		}
	}
	return found
}

func stop(uid string) {
	_ = does("systemctl", "stop", unit(uid))
	_ = does("systemctl", "reset-failed", unit(uid))
	_ = os.RemoveAll(filepath.Join(podsDir, uid))
	logs, _ := filepath.Glob(filepath.Join(logsDir, "*_"+uid))
	for _, dir := range logs {
		_ = os.RemoveAll(dir)
	}
}

// contain has a pod's container run, unless the pod is told not to; one that ends is started again, later each time.
func (k *kubelet) contain(pod *corev1.Pod) error {
	if len(pod.Spec.Containers) == 0 || program(pod.Spec.Containers[0]) == "" {
		return nil
	}
	if !pod.Spec.HostNetwork && !isConnected(pod) {
		return nil
	}
	uid := string(pod.UID)
	now := k.runs[uid]
	if now == nil {
		now = &run{}
		k.runs[uid] = now
		// One of a kubelet before this one.
		if pid := mainPid(uid); pid != 0 {
			k.watch(now, pid)
		}
	}
	_, troubled := pod.Annotations[trouble]
	_, ours := pod.Annotations[exited]
	if troubled && !ours {
		if now.pid != 0 {
			now.pid = 0
			_ = does("systemctl", "stop", unit(uid))
		}
		return nil
	}
	alive := now.pid != 0 && mainPid(uid) == now.pid
	switch {
	case now.pid != 0 && !alive:
		now.pid = 0
		now.next = time.Now().Add(backoff(now.failures))
		now.failures++
		code := output("systemctl", "show", "-p", "ExecMainStatus", "--value", unit(uid))
		log.Printf("%s has ended (%s)", pod.Name, code)
		k.after(time.Until(now.next))
		return k.annotate(pod, `"CrashLoopBackOff"`, strconv.Quote(code))
	case alive && time.Since(now.since) < patience:
		k.after(patience)
	case alive && ours:
		return k.annotate(pod, "null", "null")
	case alive:
		now.failures = 0
	case pod.Status.Phase != corev1.PodRunning:
	case time.Now().Before(now.next):
	default:
		return k.start(pod, now)
	}
	return nil
}

func backoff(failures int) time.Duration {
	return 5 * time.Second << min(failures, 4)
}

// annotate tells kwok, which makes the pod's status of it.
func (k *kubelet) annotate(pod *corev1.Pod, what, code string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s,%q:%s}}}`, trouble, what, exited, code)
	_, err := k.api.CoreV1().Pods(pod.Namespace).Patch(context.TODO(), pod.Name,
		types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}

func (k *kubelet) start(pod *corev1.Pod, now *run) error {
	uid, container := string(pod.UID), pod.Spec.Containers[0]
	volumes, err := k.volumes(pod)
	if err != nil {
		return fmt.Errorf("volumes of %s: %w", pod.Name, err)
	}
	logs := logFile(pod)
	if err := os.MkdirAll(filepath.Dir(logs), 0o755); err != nil {
		return err
	}
	words := []string{
		"systemd-run", "--quiet", "--unit", unit(uid), "--description", pod.Namespace + "/" + pod.Name,
		"--setenv=KUBERNETES_SERVICE_HOST=10.96.0.1", "--setenv=KUBERNETES_SERVICE_PORT=443",
		"--property=TimeoutStopSec=3", "--property=StandardOutput=append:" + logs,
		"--property=StandardError=append:" + logs,
	}
	for _, mount := range container.VolumeMounts {
		if from := volumes[mount.Name]; from != "" {
			words = append(words, "--property=BindReadOnlyPaths="+from+":"+mount.MountPath)
		}
	}
	if !pod.Spec.HostNetwork {
		words = append(words,
			"--property=NetworkNamespacePath="+filepath.Join(netnsDir, namespace(uid)),
			"--property=BindReadOnlyPaths="+resolv(uid)+":/etc/resolv.conf")
	}
	words = append(words, program(container))
	if len(container.Command) > 1 {
		words = append(words, container.Command[1:]...)
	}
	_ = does("systemctl", "reset-failed", unit(uid))
	if err := does(append(words, container.Args...)...); err != nil {
		return err
	}
	pid := mainPid(uid)
	if pid == 0 {
		// It has ended already: to be seen as one that did.
		pid = -1
	}
	k.watch(now, pid)
	return nil
}

// watch has everything looked at when the process has ended, and when it has lasted for a while.
func (k *kubelet) watch(now *run, pid int) {
	now.pid, now.since = pid, time.Now()
	k.after(patience + time.Second)
	go func() {
		defer k.again()
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			return
		}
		defer unix.Close(fd)
		for {
			_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
			if err != unix.EINTR {
				break
			}
		}
		// systemd has to notice, too.
		time.Sleep(200 * time.Millisecond)
	}()
}

func mainPid(uid string) int {
	pid, _ := strconv.Atoi(output("systemctl", "show", "-p", "MainPID", "--value", unit(uid)))
	return pid
}

// volumes writes what a pod's volumes hold now, and tells where, by their names.
func (k *kubelet) volumes(pod *corev1.Pod) (map[string]string, error) {
	made := map[string]string{}
	dir := filepath.Join(podsDir, string(pod.UID), "volumes")
	for _, volume := range pod.Spec.Volumes {
		files := map[string]string{}
		switch {
		case volume.ConfigMap != nil:
			if err := k.configMap(pod, volume.ConfigMap.Name, files); err != nil {
				return nil, err
			}
		case volume.Projected != nil:
			if err := k.serviceAccount(pod, files); err != nil {
				return nil, err
			}
		default:
			continue
		}
		at := filepath.Join(dir, volume.Name)
		for name, text := range files {
			if err := writeFile(filepath.Join(at, name), []byte(text)); err != nil {
				return nil, err
			}
		}
		made[volume.Name] = at
	}
	return made, nil
}

func (k *kubelet) configMap(pod *corev1.Pod, name string, files map[string]string) error {
	found, err := k.api.CoreV1().ConfigMaps(pod.Namespace).Get(context.TODO(), name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for key, text := range found.Data {
		files[key] = text
	}
	return nil
}

// serviceAccount is what a pod gets to reach the API with. The token is good for a day: nobody renews it.
func (k *kubelet) serviceAccount(pod *corev1.Pod, files map[string]string) error {
	seconds := int64(24 * 60 * 60)
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: pod.Name, UID: pod.UID},
	}}
	given, err := k.api.CoreV1().ServiceAccounts(pod.Namespace).
		CreateToken(context.TODO(), pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	files["token"], files["namespace"] = given.Status.Token, pod.Namespace
	return k.configMap(pod, "kube-root-ca.crt", files)
}

func logFile(pod *corev1.Pod) string {
	name := strings.Join([]string{pod.Namespace, pod.Name, string(pod.UID)}, "_")
	return filepath.Join(logsDir, name, pod.Spec.Containers[0].Name, "0.log")
}

func output(words ...string) string {
	said, _ := exec.Command(words[0], words[1:]...).Output()
	return strings.TrimSpace(string(said))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The networks of pods, as containerd names them, by flannel's CNI plugin and its delegate, the bridge; and what
// flanneld does on a node, with the addresses of its interfaces derived rather than announced.

const (
	netnsDir   = "/run/netns"
	resolvDir  = "/etc/netns"
	subnetFile = "/run/flannel/subnet.env"
	cniFile    = "/etc/cni/net.d/10-flannel.conflist"
	mtu        = 1450
)

func namespace(uid string) string {
	return "cni-" + uid
}

// networks tells of which pods there are networks.
func networks() []string {
	found, _ := filepath.Glob(filepath.Join(netnsDir, namespace("*")))
	for i, path := range found {
		found[i] = strings.TrimPrefix(filepath.Base(path), namespace(""))
	}
	return found
}

// connect gives a pod its network: once, and not before flannel has been on the node.
func connect(pod *corev1.Pod, node *corev1.Node) error {
	uid := string(pod.UID)
	if pod.Spec.HostNetwork || pod.Status.PodIP == "" || isConnected(pod) {
		return nil
	}
	if _, err := os.Stat(subnetFile); err != nil {
		return nil
	}
	gateway, _, err := subnet(node)
	if err != nil {
		return err
	}
	name := namespace(uid)
	if err := writeResolv(pod); err != nil {
		return err
	}
	if _, err := os.Stat("/sys/class/net/cni0"); err != nil {
		if err := all(fmt.Sprintf(`
			ip link add cni0 mtu %d type bridge
			ip addr add %s/24 dev cni0
			ip link set cni0 up`, mtu, gateway)); err != nil {
			return err
		}
	}
	veth := "veth" + uid[:8]
	err = all(fmt.Sprintf(`
		ip netns add %[1]s
		ip link add %[2]s mtu %[3]d type veth peer name eth0 mtu %[3]d netns %[1]s
		ip link set %[2]s master cni0 up
		ip link set %[2]s type bridge_slave hairpin on
		ip -n %[1]s link set lo up
		ip -n %[1]s addr add %[4]s/24 dev eth0
		ip -n %[1]s link set eth0 up
		ip -n %[1]s route add default via %[5]s`, name, veth, mtu, pod.Status.PodIP, gateway))
	if err != nil {
		disconnect(uid)
	}
	return err
}

func isConnected(pod *corev1.Pod) bool {
	_, err := os.Stat(filepath.Join(netnsDir, namespace(string(pod.UID))))
	return err == nil
}

func disconnect(uid string) {
	_ = does("ip", "netns", "delete", namespace(uid))
	_ = os.RemoveAll(filepath.Join(resolvDir, namespace(uid)))
	// Where there is none any more, there was none.
	_ = os.Remove(resolvDir)
}

// writeResolv writes the pod's resolv.conf where `ip netns exec` looks for it.
func writeResolv(pod *corev1.Pod) error {
	text, err := os.ReadFile("/etc/resolv.conf")
	if pod.Spec.DNSPolicy != corev1.DNSDefault {
		text = []byte("nameserver 10.96.0.10\nsearch " + pod.Namespace +
			".svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n")
	} else if err != nil || !strings.Contains(string(text), "nameserver ") {
		// The lab's hosts have none, and CoreDNS does not start without. Nobody answers there.
		text = []byte("nameserver 192.0.2.1\n")
	}
	return writeFile(resolv(string(pod.UID)), text)
}

func resolv(uid string) string {
	return filepath.Join(resolvDir, namespace(uid), "resolv.conf")
}

// subnet tells the first address of a node's pods, and the address of the range itself.
func subnet(node *corev1.Node) (net.IP, net.IP, error) {
	ip, _, err := net.ParseCIDR(node.Spec.PodCIDR)
	if err != nil {
		return nil, nil, fmt.Errorf("node %s: %w", node.Name, err)
	}
	base := ip.To4()
	first := net.IPv4(base[0], base[1], base[2], base[3]+1)
	return first, base, nil
}

// flannel does what flanneld does when its pod starts, and when nodes come or go.
func (k *kubelet) flannel(pod *corev1.Pod, node *corev1.Node) error {
	gateway, base, err := subnet(node)
	if err != nil {
		return err
	}
	own := address(node)
	nodes, err := k.nodes.List(labels.Everything())
	if err != nil {
		return err
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].Name < nodes[j].Name })
	peers, routes := "", map[string]bool{}
	for _, peer := range nodes {
		_, theirs, err := subnet(peer)
		if err != nil || peer.Name == node.Name {
			continue
		}
		routes[peer.Spec.PodCIDR] = true
		peers += fmt.Sprintf(`
			ip neigh replace %[1]s lladdr %[2]s dev flannel.1 nud permanent
			bridge fdb replace %[2]s dev flannel.1 dst %[3]s
			ip route replace %[4]s via %[1]s dev flannel.1 onlink
			`, theirs, mac(theirs), address(peer), peer.Spec.PodCIDR)
	}
	// Rules, routes and the interface are made once: what somebody takes away comes back with the next pod.
	told := string(pod.UID) + own + peers
	if told == k.routed {
		return nil
	}
	config, err := k.api.CoreV1().ConfigMaps(pod.Namespace).
		Get(context.TODO(), "kube-flannel-cfg", metav1.GetOptions{})
	if err != nil {
		return err
	}
	if _, err := os.Stat("/sys/class/net/flannel.1"); err != nil {
		if err := all(fmt.Sprintf(`
			ip link add flannel.1 address %s mtu %d type vxlan id 1 local %s dev host0 dstport 8472 nolearning
			ip addr add %s/32 dev flannel.1
			ip link set flannel.1 up`, mac(base), mtu, own, base)); err != nil {
			return err
		}
	}
	if err := all(peers); err != nil {
		return err
	}
	forget(routes)
	if err := masquerade(); err != nil {
		return err
	}
	env := fmt.Sprintf("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=%s/24\nFLANNEL_MTU=%d\nFLANNEL_IPMASQ=true\n",
		gateway, mtu)
	err = errors.Join(
		writeFile(cniFile, []byte(config.Data["cni-conf.json"])),
		writeFile(subnetFile, []byte(env)))
	if err == nil {
		k.routed = told
	}
	return err
}

// forget removes the routes to nodes that are no more.
func forget(wanted map[string]bool) {
	for _, line := range strings.Split(output("ip", "route", "show", "dev", "flannel.1"), "\n") {
		if words := strings.Fields(line); len(words) > 0 && !wanted[words[0]] {
			_ = does("ip", "route", "delete", words[0], "dev", "flannel.1")
		}
	}
}

// masquerade writes flannel's rules of nat. Those of filter that it writes, too, let all traffic of pods pass: without
// them, the node's own rules decide, which is what the lab is there to try.
func masquerade() error {
	const chain, hook = "FLANNEL-POSTRTG", "POSTROUTING -m comment --comment flannel-masq -j FLANNEL-POSTRTG"
	_ = does("iptables", "-w", "-t", "nat", "-N", chain)
	rules := []string{
		hook,
		chain + " -s 10.244.0.0/16 -d 10.244.0.0/16 -j RETURN",
		chain + " -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully",
	}
	for _, rule := range rules {
		if all("iptables -w -t nat -C "+rule) == nil {
			continue
		}
		if err := all("iptables -w -t nat -A " + rule); err != nil {
			return err
		}
	}
	return nil
}

// mac is a hardware address that follows from that of the node's pods.
func mac(ip net.IP) string {
	return fmt.Sprintf("0a:58:%02x:%02x:%02x:%02x", ip[0], ip[1], ip[2], ip[3])
}

func address(node *corev1.Node) string {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return address.Address
		}
	}
	return ""
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

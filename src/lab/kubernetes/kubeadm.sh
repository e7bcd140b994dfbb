#!/bin/sh
# A stand-in for kubeadm 1.29: it leaves the files, the services and the objects that kubeadm would, and what it says of
# a host that it refuses is what kubeadm says. What talks to the API is real; no container runs.
#
#   kubeadm init [--config FILE] [--node-name N] [--skip-phases=…] [--upload-certs] …
#   kubeadm init phase upload-config|mark-control-plane|bootstrap-token|kubelet-finalize|addon [PART] [--config FILE]
#   kubeadm token create [--print-join-command] [--ttl 2h]
#   kubeadm join HOST:6443 --token T --discovery-token-ca-cert-hash sha256:H [--node-name N]
#   kubeadm reset -f
#   kubeadm version -o short
set -eu
umask 022
# Where kubectl is; sudo does not look there on RHEL.
PATH=/usr/local/sbin:/usr/local/bin:$PATH

etc=/etc/kubernetes
kubelet=/var/lib/kubelet
version=v1.29.15
# What preflight refuses.
found=
admin=$etc/admin.conf

main() {
    verb=${1:-}
    [ $# = 0 ] || shift
    case $verb in
    init) init "$@" ;;
    join) join "$@" ;;
    reset) reset "$@" ;;
    token) token "$@" ;;
    version) echo "$version" ;;
    *) echo "kubeadm: a stand-in that cannot do: $verb $*" >&2; exit 1 ;;
    esac
}

api() {
    kubectl --kubeconfig "$admin" --request-timeout 60s "$@"
}

# --- What kubeadm looks at before it does anything ------------------------------

preflight() { # files that must not be there yet
    for file; do
        [ ! -e "$file" ] || refuse "FileAvailable-$(echo "$file" | tr / -)" "$file already exists"
    done
    [ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || refuse FileContent--proc-sys-net-ipv4-ip_forward \
        '/proc/sys/net/ipv4/ip_forward contents are not set to 1'
    while read -r device _; do
        [ "$device" = Filename ] ||
            echo '	[WARNING Swap]: swap is supported for cgroup v2 only; the NodeSwap feature gate of the kubelet is beta but disabled by default' >&2
    done </proc/swaps
    command -v conntrack >/dev/null || refuse FileExisting-conntrack 'conntrack not found in system path'
    [ -z "$found" ] || {
        printf 'error execution phase preflight: [preflight] Some fatal errors occurred:\n%s' "$found" >&2
        # shellcheck disable=SC2016
        echo '[preflight] If you know what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`' >&2
        exit 1
    }
}

refuse() { # NAME WHAT
    found="$found	[ERROR $1]: $2
"
}

# --- init ---------------------------------------------------------------------------

init() {
    pods=10.244.0.0/16 mode='' cgroups=systemd node=$(hostname)
    skip='' words=''
    while [ $# != 0 ]; do
        case $1 in
        --config) configured "$2"; shift ;;
        --config=*) configured "${1#*=}" ;;
        --pod-network-cidr) pods=$2; shift ;;
        --pod-network-cidr=*) pods=${1#*=} ;;
        --node-name) node=$2; shift ;;
        --node-name=*) node=${1#*=} ;;
        --skip-phases) skip=$2; shift ;;
        --skip-phases=*) skip=${1#*=} ;;
        --upload-certs | --skip-token-print | --ignore-preflight-errors=* | --apiserver-advertise-address=* | \
            --kubernetes-version=* | --cri-socket=* | --control-plane-endpoint=*) ;;
        -*) echo "unknown flag: $1" >&2; exit 1 ;;
        *) words="$words $1" ;;
        esac
        shift
    done
    # shellcheck disable=SC2086
    set -- $words
    case ${1:-} in
    '') whole_init ;;
    phase) shift; phase "$@" ;;
    *) echo "unknown command \"$1\" for \"kubeadm init\"" >&2; exit 1 ;;
    esac
}

# In kubeadm's order: what is cut short has the files of the control plane before there is an API.
whole_init() {
    if systemctl -q is-active kube-apiserver; then refuse Port-6443 'Port 6443 is in use'; fi
    if [ -n "$(ls -A /var/lib/etcd 2>/dev/null)" ]; then refuse DirAvailable--var-lib-etcd '/var/lib/etcd is not empty'; fi
    preflight "$etc/manifests/kube-apiserver.yaml" "$etc/manifests/kube-controller-manager.yaml" \
        "$etc/manifests/kube-scheduler.yaml" "$etc/manifests/etcd.yaml"
    command -v control-plane >/dev/null || {
        echo 'kubeadm: the lab is up without a control plane: vmstation lab up --kubernetes' >&2
        exit 1
    }
    echo "[init] Using Kubernetes version: $version"
    control-plane start
    cp "$admin" "$etc/super-admin.conf"
    manifests
    kubelet_settings | start_kubelet "$admin"
    control-plane answer || {
        echo "error execution phase wait-control-plane: couldn't initialize a Kubernetes cluster" >&2
        exit 1
    }
    control-plane node "$node"
    mirrors
    for part in 'upload-config all' 'mark-control-plane' 'bootstrap-token' 'kubelet-finalize all' \
        'addon coredns' 'addon kube-proxy'; do
        # shellcheck disable=SC2086
        is_skipped $part || phase $part
    done
    echo 'Your Kubernetes control-plane has initialized successfully!'
}

is_skipped() { # PHASE [PART]
    case ,$skip, in
    *",$1,"* | *",$1/${2:-},"*) return 0 ;;
    esac
    return 1
}

# The phases that need an API. Each makes what is missing, and leaves what is there.
phase() { # PHASE [PART]
    case "$1${2:+ $2}" in
    'upload-config all') kubeadm_config; kubelet_configuration ;;
    'upload-config kubeadm') kubeadm_config ;;
    'upload-config kubelet') kubelet_configuration ;;
    mark-control-plane) mark ;;
    bootstrap-token) bootstrap_token ;;
    'kubelet-finalize all') ;; # The kubelet's certificate is renewed by nobody here.
    'addon all') coredns; proxy ;;
    'addon coredns') coredns ;;
    'addon kube-proxy') proxy ;;
    *) echo "kubeadm: a stand-in that cannot do: init phase $*" >&2; exit 1 ;;
    esac
}

# Of the configuration, what the stand-in heeds. Whether it is one at all, the real kubeadm says.
configured() {
    /usr/local/lib/control-plane/kubeadm.real config validate --config "$1" >/dev/null || exit 1
    while read -r key value; do
        case $key in
        name:) node=$value ;;
        cgroupDriver:) cgroups=$value ;;
        podSubnet:) pods=$value ;;
        mode:) mode=$value ;;
        esac
    done <"$1"
}

# Static pods: the kubelet would run them; here systemd runs what they name.
manifests() {
    mkdir -p "$etc/manifests"
    for part in etcd kube-apiserver kube-controller-manager kube-scheduler; do
        {
            printf 'apiVersion: v1\nkind: Pod\nmetadata:\n  name: %s\n  namespace: kube-system\n' "$part"
            printf '  labels:\n    component: %s\n    tier: control-plane\nspec:\n  hostNetwork: true\n' "$part"
            printf '  priorityClassName: system-node-critical\n  containers:\n  - name: %s\n' "$part"
            printf '    image: registry.k8s.io/%s:%s\n    command:\n' "$part" "$version"
            sed -n "s|^ExecStart=||; s|^/usr/local/bin/\($part\).*|    - \1|p; s|^\(--[^ ]*\).*|    - \1|p" \
                "/etc/systemd/system/$part.service"
        } >"$etc/manifests/$part.yaml"
    done
}

# The kubelet's own configuration: from kubeadm's to begin with, from the cluster for whoever joins.
kubelet_settings() {
    cat <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: $cgroups
clusterDNS:
- 10.96.0.10
clusterDomain: cluster.local
staticPodPath: /etc/kubernetes/manifests
EOF
}

start_kubelet() { # KUBECONFIG; the settings on stdin
    mkdir -p "$kubelet"
    cp "$1" "$etc/kubelet.conf"
    cat >"$kubelet/config.yaml"
    flags=--container-runtime-endpoint=unix:///var/run/containerd/containerd.sock
    [ "$node" = "$(hostname)" ] || flags="$flags --hostname-override=$node"
    echo "KUBELET_KUBEADM_ARGS=\"$flags\"" >"$kubelet/kubeadm-flags.env"
    systemctl -q enable kubelet
    systemctl restart kubelet
}

# The mirrors of the static pods, which the kubelet makes.
mirrors() {
    for file in "$etc"/manifests/*.yaml; do
        sed -e "s|^  name: \(.*\)|  name: \1-$node|" -e "s|^spec:|spec:\n  nodeName: $node|" \
            -e 's|^  labels:|  annotations:\n    kubernetes.io/config.mirror: "1"\n    kubernetes.io/config.source: file\n  labels:|' \
            -e 's|^  hostNetwork: true|  hostNetwork: true\n  tolerations:\n  - operator: Exists|' "$file"
        echo ---
    done | api apply -f - >/dev/null
}

kubeadm_config() {
    echo '[upload-config] Storing the configuration used in ConfigMap "kubeadm-config" in the "kube-system" Namespace'
    api apply -f - >/dev/null <<EOF
apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config, namespace: kube-system}
data:
  ClusterConfiguration: |
    apiVersion: kubeadm.k8s.io/v1beta3
    kind: ClusterConfiguration
    clusterName: kubernetes
    kubernetesVersion: $version
    networking:
      dnsDomain: cluster.local
      podSubnet: $pods
      serviceSubnet: 10.96.0.0/12
EOF
}

kubelet_configuration() {
    echo '[kubelet] Creating a ConfigMap "kubelet-config" in namespace kube-system with the configuration for the kubelets in the cluster'
    api apply -f - >/dev/null <<EOF
apiVersion: v1
kind: ConfigMap
metadata: {name: kubelet-config, namespace: kube-system}
data:
  kubelet: |
$(kubelet_settings | sed 's/^/    /')
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "kubeadm:kubelet-config", namespace: kube-system}
rules:
- {apiGroups: [""], resources: [configmaps], resourceNames: [kubelet-config], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "kubeadm:kubelet-config", namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:kubelet-config"}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:nodes"}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}
EOF
}

mark() {
    role=node-role.kubernetes.io/control-plane
    echo "[mark-control-plane] Marking the node $node as control-plane"
    api label --overwrite node "$node" "$role=" node.kubernetes.io/exclude-from-external-load-balancers= >/dev/null
    api taint --overwrite node "$node" "$role:NoSchedule" >/dev/null
}

# Where a node that has only a token finds the cluster, and what it may do there.
bootstrap_token() {
    new_token 24h >/dev/null
    api apply -f - >/dev/null <<EOF
apiVersion: v1
kind: ConfigMap
metadata: {name: cluster-info, namespace: kube-public}
data:
  kubeconfig: |
    apiVersion: v1
    kind: Config
    clusters:
    - name: ""
      cluster:
        certificate-authority-data: $(base64 -w0 "$etc/pki/ca.crt")
        server: $(sed -n 's/^ *server: //p' "$admin")
EOF
    joining
}

# Whoever has the token may make a node, and gets a certificate as that node.
joining() {
    api apply -f - >/dev/null <<'EOF'
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: "kubeadm:bootstrap-signer-clusterinfo", namespace: kube-public}
rules:
- {apiGroups: [""], resources: [configmaps], resourceNames: [cluster-info], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "kubeadm:bootstrap-signer-clusterinfo", namespace: kube-public}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:bootstrap-signer-clusterinfo"}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: User, name: "system:anonymous"}
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "kubeadm:get-nodes"}
rules:
- {apiGroups: [""], resources: [nodes], verbs: [get, create]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubeadm:get-nodes"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "kubeadm:get-nodes"}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubeadm:kubelet-bootstrap"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-bootstrapper"}
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubeadm:node-autoapprove-bootstrap"}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient"
subjects:
- {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:kubeadm:default-node-token"}
EOF
}

proxy() {
    api apply -f - >/dev/null <<EOF
apiVersion: v1
kind: ServiceAccount
metadata: {name: kube-proxy, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "kubeadm:node-proxier"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-proxier"}
subjects:
- {kind: ServiceAccount, name: kube-proxy, namespace: kube-system}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: kube-proxy
  namespace: kube-system
  labels: {app: kube-proxy}
data:
  config.conf: |-
    apiVersion: kubeproxy.config.k8s.io/v1alpha1
    kind: KubeProxyConfiguration
    bindAddress: 0.0.0.0
    clientConnection:
      kubeconfig: /var/lib/kube-proxy/kubeconfig.conf
    clusterCIDR: $pods
    # The kernel's limit is not a container's to change: without this, kube-proxy ends.
    conntrack:
      maxPerCore: 0
    metricsBindAddress: ""
    mode: "$mode"
  kubeconfig.conf: |-
    apiVersion: v1
    kind: Config
    clusters:
    - cluster:
        certificate-authority: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
$(sed -n 's/^ *server:/        server:/p' "$admin")
      name: default
    contexts:
    - context:
        cluster: default
        namespace: default
        user: default
      name: default
    current-context: default
    users:
    - name: default
      user:
        tokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
---
apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: kube-proxy
  namespace: kube-system
  labels: {k8s-app: kube-proxy}
spec:
  selector: {matchLabels: {k8s-app: kube-proxy}}
  template:
    metadata: {labels: {k8s-app: kube-proxy}}
    spec:
      hostNetwork: true
      nodeSelector: {kubernetes.io/os: linux}
      priorityClassName: system-node-critical
      serviceAccountName: kube-proxy
      tolerations: [{operator: Exists}]
      containers:
      - name: kube-proxy
        image: registry.k8s.io/kube-proxy:$version
        command: [/usr/local/bin/kube-proxy, --config=/var/lib/kube-proxy/config.conf]
        volumeMounts: [{mountPath: /var/lib/kube-proxy, name: kube-proxy}]
      volumes:
      - name: kube-proxy
        configMap: {name: kube-proxy}
EOF
}

coredns() {
    api apply -f - >/dev/null <<'EOF'
apiVersion: v1
kind: ServiceAccount
metadata: {name: coredns, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: "system:coredns"}
rules:
- {apiGroups: [""], resources: [endpoints, services, pods, namespaces], verbs: [list, watch]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [list, watch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "system:coredns"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:coredns"}
subjects:
- {kind: ServiceAccount, name: coredns, namespace: kube-system}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: coredns, namespace: kube-system}
data:
  Corefile: |
    .:53 {
        errors
        health
        ready
        kubernetes cluster.local in-addr.arpa ip6.arpa
        forward . /etc/resolv.conf
        cache 30
    }
---
apiVersion: v1
kind: Service
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {k8s-app: kube-dns, kubernetes.io/name: CoreDNS}
spec:
  clusterIP: 10.96.0.10
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 53}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: coredns
  namespace: kube-system
  labels: {k8s-app: kube-dns}
spec:
  replicas: 2
  selector: {matchLabels: {k8s-app: kube-dns}}
  template:
    metadata: {labels: {k8s-app: kube-dns}}
    spec:
      serviceAccountName: coredns
      priorityClassName: system-cluster-critical
      tolerations:
      - {key: CriticalAddonsOnly, operator: Exists}
      - {key: node-role.kubernetes.io/control-plane, effect: NoSchedule}
      containers:
      - name: coredns
        image: registry.k8s.io/coredns/coredns:v1.11.1
        args: [-conf, /etc/coredns/Corefile]
        volumeMounts: [{mountPath: /etc/coredns, name: config-volume}]
      volumes:
      - name: config-volume
        configMap: {name: coredns}
EOF
}

# --- token and join --------------------------------------------------------------------

random() { # LENGTH
    tr -dc a-z0-9 </dev/urandom | head -c "$1"
}

ca_hash() { # CERTIFICATE
    openssl x509 -pubkey -noout -in "$1" | openssl pkey -pubin -outform der | sha256sum | cut -d' ' -f1
}

token() {
    [ "${1:-}" = create ] || { echo "kubeadm: a stand-in that cannot do: token $*" >&2; exit 1; }
    shift
    ttl=24h command=
    while [ $# != 0 ]; do
        case $1 in
        --print-join-command) command=yes ;;
        --ttl) ttl=$2; shift ;;
        --ttl=*) ttl=${1#*=} ;;
        *) echo "unknown flag: $1" >&2; exit 1 ;;
        esac
        shift
    done
    token=$(new_token "$ttl")
    [ -n "$command" ] || { echo "$token"; return; }
    server=$(sed -n 's|^ *server: https://||p' "$admin")
    echo "kubeadm join $server --token $token --discovery-token-ca-cert-hash sha256:$(ca_hash "$etc/pki/ca.crt") "
}

new_token() { # TTL
    id=$(random 6)
    secret=$(random 16)
    api -n kube-system create secret generic "bootstrap-token-$id" --type bootstrap.kubernetes.io/token \
        --from-literal=token-id="$id" --from-literal=token-secret="$secret" \
        --from-literal=expiration="$(date -u -d "+${1%h} hours" +%Y-%m-%dT%H:%M:%SZ)" \
        --from-literal=usage-bootstrap-authentication=true --from-literal=usage-bootstrap-signing=true \
        --from-literal=auth-extra-groups=system:bootstrappers:kubeadm:default-node-token >/dev/null
    echo "$id.$secret"
}

join() {
    server=${1:-}
    [ $# = 0 ] || shift
    token='' hash='' node=$(hostname)
    while [ $# != 0 ]; do
        case $1 in
        --token) token=$2; shift ;;
        --discovery-token-ca-cert-hash) hash=${2#sha256:}; shift ;;
        --node-name) node=$2; shift ;;
        --node-name=*) node=${1#*=} ;;
        --cri-socket=* | --ignore-preflight-errors=*) ;;
        *) echo "unknown flag: $1" >&2; exit 1 ;;
        esac
        shift
    done
    preflight "$etc/kubelet.conf" "$etc/bootstrap-kubelet.conf" "$etc/pki/ca.crt"
    cluster=$(mktemp -d)
    trap 'rm -rf "$cluster"' EXIT
    # kubeadm asks as nobody; kubectl would ask for a name then.
    kubectl --server "https://$server" --insecure-skip-tls-verify --token "$token" --request-timeout 20s \
        -n kube-public get configmap cluster-info -o 'jsonpath={.data.kubeconfig}' >"$cluster/conf" || {
        echo 'error execution phase preflight: couldn'\''t validate the identity of the API Server' >&2
        exit 1
    }
    sed -n 's/^ *certificate-authority-data: //p' "$cluster/conf" | base64 -d >"$cluster/ca.crt"
    [ "$(ca_hash "$cluster/ca.crt")" = "$hash" ] || {
        echo 'error execution phase preflight: couldn'\''t validate the identity of the API Server: cluster CA found in cluster-info ConfigMap is invalid: none of the public keys "sha256:'"$hash"'" are pinned' >&2
        exit 1
    }
    ready='{.status.conditions[?(@.type=="Ready")].status}'
    [ "$(with_token get node "$node" --ignore-not-found -o "jsonpath=$ready")" != True ] || {
        echo "error execution phase kubelet-start: a Node with name \"$node\" and status \"Ready\" already exists in the cluster. You must delete the existing Node or change the name of this new joining Node" >&2
        exit 1
    }
    mkdir -p "$etc/pki" "$etc/manifests"
    cp "$cluster/ca.crt" "$etc/pki/ca.crt"
    with_token get node "$node" >/dev/null 2>"$cluster/said" ||
        with_token create -f "/usr/local/lib/control-plane/nodes/$node.json"
    certificate
    node_kubeconfig >"$cluster/kubelet.conf"
    with_token -n kube-system get configmap kubelet-config -o 'jsonpath={.data.kubelet}' >"$cluster/settings"
    start_kubelet "$cluster/kubelet.conf" <"$cluster/settings"
    echo 'This node has joined the cluster:'
}

# The node's own, asked for with the token and given by the controllers: what the kubelet does when it first starts.
certificate() {
    pem=$kubelet/pki/kubelet-client-current.pem
    mkdir -p "${pem%/*}"
    (umask 077; openssl ecparam -genkey -noout -name prime256v1 -out "$pem")
    request=$(openssl req -new -key "$pem" -subj "/O=system:nodes/CN=system:node:$node" | base64 -w0)
    csr=node-csr-$(random 8)
    with_token create -f - >/dev/null <<EOF
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: $csr}
spec:
  request: $request
  signerName: kubernetes.io/kube-apiserver-client-kubelet
  usages: [digital signature, client auth]
EOF
    tries=0
    until given=$(with_token get csr "$csr" -o 'jsonpath={.status.certificate}') && [ -n "$given" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || {
            echo "error execution phase kubelet-start: nobody has signed $csr" >&2
            exit 1
        }
        sleep 0.1
    done
    echo "$given" | base64 -d >>"$pem"
}

with_token() {
    kubectl --server "https://$server" --certificate-authority "$cluster/ca.crt" --token "$token" \
        --request-timeout 20s "$@"
}

node_kubeconfig() {
    cat <<EOF
apiVersion: v1
kind: Config
clusters:
- name: default-cluster
  cluster:
    certificate-authority-data: $(base64 -w0 "$cluster/ca.crt")
    server: https://$server
users:
- name: default-auth
  user: {client-certificate: $pem, client-key: $pem}
contexts:
- name: default-context
  context: {cluster: default-cluster, user: default-auth}
current-context: default-context
EOF
}

# --- reset ----------------------------------------------------------------------------

reset() {
    case " $* " in
    *' -f '* | *' --force '*) ;;
    *) echo 'aborted reset operation: nobody to confirm it' >&2; exit 1 ;;
    esac
    if systemctl -q is-active kubelet; then systemctl stop kubelet; fi
    # What crictl would be asked for: the pods, and their networks.
    if [ -x /usr/local/lib/control-plane/kubelet ]; then /usr/local/lib/control-plane/kubelet reset; fi
    if [ -e /etc/systemd/system/kube-apiserver.service ]; then control-plane reset; fi
    rm -rf "$etc/manifests" "$etc/pki" "$etc"/*.conf "$kubelet"/* /var/lib/etcd
    mkdir -p "$etc/manifests"
    echo 'The reset process does not clean CNI configuration. To do so, you must remove /etc/cni/net.d'
}

main "$@"

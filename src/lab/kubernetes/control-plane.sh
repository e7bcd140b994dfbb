#!/bin/sh
# Starts and ends the control plane on the host it runs on, and makes nodes: what kubeadm does of it, without a
# container runtime. The lab runs it on masternode; a stand-in for kubeadm may, too.
#
#   control-plane start           certificates, kubeconfigs, units; does not wait for anything
#   control-plane answer          returns when the API answers
#   control-plane init            both
#   control-plane node NAME       makes the node of /usr/local/lib/control-plane/nodes/NAME.json, unless it is there
#   control-plane wait NAME...    returns when these nodes are Ready
#   control-plane status          0 when the API answers
#   control-plane reset           ends it and forgets everything but the certificates
set -eu
umask 022

lib=/usr/local/lib/control-plane
# Kept here, outside of what `kubeadm reset` empties: a kubeconfig that somebody has is good for as long as the lab is.
keys=/var/lib/control-plane
etc=/etc/kubernetes
units='etcd kube-apiserver kube-controller-manager kube-scheduler kwok'
services=10.96.0.0/12
pods=10.244.0.0/16

# The host's own address in the lab.
address() {
    getent ahostsv4 "$(hostname)" | sed -n '1s/ .*//p'
}

main() {
    verb=${1:-}
    [ $# = 0 ] || shift
    case $verb in
    start) start ;;
    answer) until_it_answers ;;
    init) start; until_it_answers ;;
    node) node "$@" ;;
    wait) wait_for "$@" ;;
    status) api get --raw /readyz >/dev/null ;;
    reset) reset ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
    esac
}

start() {
    ip=$(address)
    mkdir -p "$keys" "$etc/manifests"
    [ -e "$keys/super.conf" ] || certificates
    cp -r "$keys/pki" "$etc/"
    cp "$keys/admin.conf" "$keys/controller-manager.conf" "$keys/scheduler.conf" "$etc/"
    # By this, `kubeadm reset` and those that call it know a node.
    cp "$keys/admin.conf" "$etc/kubelet.conf"
    write_units
    systemctl daemon-reload
    # shellcheck disable=SC2086
    systemctl -q enable $units
    # shellcheck disable=SC2086
    systemctl start --no-block $units
}

until_it_answers() {
    tries=0
    until api get --raw /readyz >/dev/null 2>&1; do
        tries=$((tries + 1))
        # One that ends each time it is started does not come up for being waited for.
        if [ "$tries" -gt 240 ] || [ "$(systemctl show -P NRestarts kube-apiserver)" -gt 4 ]; then
            echo "the API server does not answer:" >&2
            journalctl -q -n 20 --no-pager -u etcd -u kube-apiserver -o cat >&2
            exit 1
        fi
        sleep 0.25
    done
}

api() {
    kubectl --kubeconfig "$keys/super.conf" --request-timeout 60s "$@"
}

# A key and its certificate by an authority: DIR/NAME.{key,crt}.
issue() { # NAME AUTHORITY SUBJECT USAGE [ALTERNATIVE NAMES]
    openssl ecparam -genkey -noout -name prime256v1 -out "$1.key"
    {
        echo 'basicConstraints=critical,CA:FALSE'
        echo 'keyUsage=critical,digitalSignature,keyEncipherment'
        echo "extendedKeyUsage=$4"
        [ -z "${5:-}" ] || echo "subjectAltName=$5"
    } >"$1.ext"
    openssl req -new -key "$1.key" -subj "$3" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -days 365 -sha256 \
        -extfile "$1.ext" -out "$1.crt" 2>/dev/null
    rm "$1.csr" "$1.ext"
}

authority() { # NAME SUBJECT
    openssl ecparam -genkey -noout -name prime256v1 -out "$1.key"
    openssl req -x509 -new -key "$1.key" -subj "$2" -days 3650 -sha256 -out "$1.crt" \
        -addext 'keyUsage=critical,digitalSignature,keyEncipherment,keyCertSign'
}

# Under the names that kubeadm gives them.
certificates() {
    mkdir -p "$keys/pki"
    (
        umask 077
        cd "$keys/pki"
        authority ca /CN=kubernetes
        authority front-proxy-ca /CN=front-proxy-ca
        names="DNS:$(hostname),DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc"
        names="$names,DNS:kubernetes.default.svc.cluster.local,DNS:localhost"
        issue apiserver ca /CN=kube-apiserver serverAuth "$names,IP:10.96.0.1,IP:$ip,IP:127.0.0.1"
        issue apiserver-kubelet-client ca /O=system:masters/CN=kube-apiserver-kubelet-client clientAuth
        issue front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
        openssl genrsa -out sa.key 2048 2>/dev/null
        openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null
        cd "$keys"
        kubeconfig admin kubernetes-admin /O=system:masters/CN=kubernetes-admin
        kubeconfig controller-manager system:kube-controller-manager /CN=system:kube-controller-manager
        kubeconfig scheduler system:kube-scheduler /CN=system:kube-scheduler
        kubeconfig kwok kwok /O=system:masters/CN=kwok
        # The last one: where it is, all are.
        kubeconfig super control-plane /O=system:masters/CN=control-plane
    )
}

kubeconfig() { # NAME USER SUBJECT
    issue "$1" pki/ca "$3" clientAuth
    cat >"$1.conf" <<EOF
apiVersion: v1
kind: Config
clusters:
- name: kubernetes
  cluster:
    server: https://$ip:6443
    certificate-authority-data: $(base64 -w0 pki/ca.crt)
users:
- name: $2
  user:
    client-certificate-data: $(base64 -w0 "$1.crt")
    client-key-data: $(base64 -w0 "$1.key")
contexts:
- name: $2@kubernetes
  context:
    cluster: kubernetes
    user: $2
current-context: $2@kubernetes
EOF
    rm "$1.crt" "$1.key"
}

unit() { # NAME AFTER; the command on stdin, a word a line
    {
        printf '[Unit]\nDescription=%s (of the lab)\nAfter=%s\nStartLimitIntervalSec=0\n\n' "$1" "$2"
        # The API server would wait a minute for those who watch.
        printf '[Service]\nType=exec\nRestart=always\nRestartSec=1\nTimeoutStopSec=3\nExecStart='
        sed 's/$/ \\/'
        printf '\n[Install]\nWantedBy=multi-user.target\n'
    } >"/etc/systemd/system/$1.service"
}

# With the options that kubeadm gives them, where they mean something here.
write_units() {
    unit etcd network.target <<EOF
/usr/local/bin/etcd
--name=$(hostname)
--data-dir=/var/lib/etcd
--listen-client-urls=http://127.0.0.1:2379
--advertise-client-urls=http://127.0.0.1:2379
--listen-peer-urls=http://127.0.0.1:2380
--unsafe-no-fsync
EOF
    unit kube-apiserver etcd.service <<EOF
/usr/local/bin/kube-apiserver
--advertise-address=$ip
--allow-privileged=true
--authorization-mode=Node,RBAC
--client-ca-file=$etc/pki/ca.crt
--enable-admission-plugins=NodeRestriction
--enable-bootstrap-token-auth=true
--etcd-servers=http://127.0.0.1:2379
--kubelet-client-certificate=$etc/pki/apiserver-kubelet-client.crt
--kubelet-client-key=$etc/pki/apiserver-kubelet-client.key
--kubelet-preferred-address-types=InternalDNS,InternalIP,Hostname
--proxy-client-cert-file=$etc/pki/front-proxy-client.crt
--proxy-client-key-file=$etc/pki/front-proxy-client.key
--requestheader-allowed-names=front-proxy-client
--requestheader-client-ca-file=$etc/pki/front-proxy-ca.crt
--requestheader-extra-headers-prefix=X-Remote-Extra-
--requestheader-group-headers=X-Remote-Group
--requestheader-username-headers=X-Remote-User
--secure-port=6443
--service-account-issuer=https://kubernetes.default.svc.cluster.local
--service-account-key-file=$etc/pki/sa.pub
--service-account-signing-key-file=$etc/pki/sa.key
--service-cluster-ip-range=$services
--tls-cert-file=$etc/pki/apiserver.crt
--tls-private-key-file=$etc/pki/apiserver.key
EOF
    # The controller that gives nodes their ranges of addresses waits ten seconds before it does, and the others wait
    # with it: the lab's nodes bring theirs along. The rates are those of a machine without other work.
    unit kube-controller-manager kube-apiserver.service <<EOF
/usr/local/bin/kube-controller-manager
--allocate-node-cidrs=false
--authentication-kubeconfig=$etc/controller-manager.conf
--authorization-kubeconfig=$etc/controller-manager.conf
--bind-address=127.0.0.1
--client-ca-file=$etc/pki/ca.crt
--cluster-cidr=$pods
--cluster-name=kubernetes
--cluster-signing-cert-file=$etc/pki/ca.crt
--cluster-signing-key-file=$etc/pki/ca.key
--kube-api-burst=400
--kube-api-qps=200
--controllers=*,bootstrapsigner,tokencleaner
--kubeconfig=$etc/controller-manager.conf
--leader-elect=false
--requestheader-client-ca-file=$etc/pki/front-proxy-ca.crt
--root-ca-file=$etc/pki/ca.crt
--service-account-private-key-file=$etc/pki/sa.key
--service-cluster-ip-range=$services
--use-service-account-credentials=true
EOF
    unit kube-scheduler kube-apiserver.service <<EOF
/usr/local/bin/kube-scheduler
--authentication-kubeconfig=$etc/scheduler.conf
--authorization-kubeconfig=$etc/scheduler.conf
--bind-address=127.0.0.1
--kubeconfig=$etc/scheduler.conf
--leader-elect=false
EOF
    unit kwok kube-apiserver.service <<EOF
/usr/local/bin/kwok
--kubeconfig=$keys/kwok.conf
--config=$lib/kwok.yaml
--cidr=$pods
--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake
--manage-all-nodes=false
--node-lease-duration-seconds=0
--node-port=10247
--tls-cert-file=$etc/pki/apiserver.crt
--tls-private-key-file=$etc/pki/apiserver.key
EOF
}

node() {
    api get node "$1" >/dev/null 2>&1 || api create -f "$lib/nodes/$1.json"
}

# Ready, and free of the taint of a node that is not.
wait_for() {
    for name; do
        api wait --for=condition=Ready --timeout=60s "node/$name"
        tries=0
        until is_usable "$name"; do
            tries=$((tries + 1))
            if [ "$tries" -gt 240 ]; then
                echo "node $name is Ready, but the controllers do nothing with it" >&2
                exit 1
            fi
            sleep 0.25
        done
    done
}

is_usable() {
    case $(api get node "$1" -o 'jsonpath={.spec.taints[*].key}') in
    *node.kubernetes.io/not-ready*) return 1 ;;
    esac
}

reset() {
    there=
    for unit in $units; do
        [ ! -e "/etc/systemd/system/$unit.service" ] || there="$there $unit.service"
    done
    # shellcheck disable=SC2086
    if [ -n "$there" ]; then
        # They have nothing to finish: all that they know is removed.
        systemctl stop --no-block $there
        systemctl kill -s KILL $there 2>/dev/null || true
        systemctl stop $there
        systemctl reset-failed $there 2>/dev/null || true
        systemctl -q disable $there
        (cd /etc/systemd/system && rm -f $there)
        systemctl daemon-reload
    fi
    rm -rf /var/lib/etcd "$etc/pki" "$etc/admin.conf" "$etc/kubelet.conf" "$etc/controller-manager.conf" "$etc/scheduler.conf"
}

main "$@"

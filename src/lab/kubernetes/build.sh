#!/bin/sh
# Builds Kubernetes' control plane, kubectl, kubeadm, kube-proxy, helm, etcd, CoreDNS and kwok from Go modules, fetched and
# verified as this machine's go is set to: the only step that needs a network, and a long one. Nothing of it runs here.
#
#   build.sh DIR     DIR/go.mod and DIR/go.sum say of what, in which versions; DIR/coredns and DIR/kubelet are our own
#                    leaves DIR/control-plane, DIR/client and DIR/node, layers for the root of a host
set -eu
cd "$1"

required() {
    sed -n "s|^[[:space:]]*$1 \(v[^ ]*\).*|\1|p" go.mod
}
kubernetes=$(required k8s.io/kubernetes)
minor=${kubernetes#v1.}
says=k8s.io/component-base/version
flags="-s -w -X $says.gitVersion=$kubernetes -X $says.gitMajor=1 -X $says.gitMinor=${minor%%.*}"
flags="$flags -X $says.gitTreeState=clean -X helm.sh/helm/v3/internal/version.version=$(required helm.sh/helm/v3)"

# What somebody set for programs of their own must not change these.
export CGO_ENABLED=0 GOFLAGS=-mod=readonly GOWORK=off
unset GOOS GOARCH

build() { # LAYER PROGRAM PACKAGE [DIRECTORY]
    to=$1/${4:-usr/local/bin}
    mkdir -p "$to"
    nice -n 19 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$to/$2" "$3"
}
for program in kube-apiserver kube-controller-manager kube-scheduler; do
    build control-plane $program k8s.io/kubernetes/cmd/$program
done
build control-plane etcd go.etcd.io/etcd/server/v3
build control-plane kwok sigs.k8s.io/kwok/cmd/kwok
build client kubectl k8s.io/kubernetes/cmd/kubectl
build client helm helm.sh/helm/v3/cmd/helm
# What pods have in their images, and what runs it: not for a path.
build node kube-proxy k8s.io/kubernetes/cmd/kube-proxy usr/local/lib/control-plane
build node coredns ./coredns usr/local/lib/control-plane
# A stand-in does its work; it says whether a configuration is one.
build node kubeadm.real k8s.io/kubernetes/cmd/kubeadm usr/local/lib/control-plane
build node kubelet ./kubelet usr/local/lib/control-plane

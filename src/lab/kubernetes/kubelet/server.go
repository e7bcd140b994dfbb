package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	consts "k8s.io/apimachinery/pkg/util/remotecommand"
	remoteclient "k8s.io/client-go/tools/remotecommand"
	"k8s.io/kubelet/pkg/cri/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// What the API server asks a kubelet for: `kubectl exec` and `kubectl logs`.

// The programs that are there in any pod, before those of the node.
const path = "/usr/lib/kubelet/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (k *kubelet) serve() {
	ca, err := os.ReadFile(authority)
	check(err)
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(ca)
	certificate, err := selfSigned()
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.exec)
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", k.logs)
	server := &http.Server{
		Addr:    fmt.Sprintf(":%d", port),
		Handler: mux,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    clients,
			// The streams of exec take over the connection.
			NextProtos: []string{"http/1.1"},
		},
	}
	log.Fatal(server.ListenAndServeTLS("", ""))
}

// The API server takes any certificate of a kubelet's, as with kubeadm.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0)}
	made, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, err
}

func (k *kubelet) asked(request *http.Request) (*corev1.Pod, error) {
	return k.pods.Pods(request.PathValue("namespace")).Get(request.PathValue("pod"))
}

func (k *kubelet) exec(w http.ResponseWriter, request *http.Request) {
	pod, err := k.asked(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, err := remotecommand.NewOptions(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, request, executor{pod}, pod.Name, pod.UID, request.PathValue("container"),
		request.URL.Query()["command"], options, 4*time.Hour, 30*time.Second, consts.SupportedStreamingProtocols)
}

type executor struct{ pod *corev1.Pod }

// ExecInContainer runs a program of the node's in the pod's network, which is all of a container that there is. It has
// no terminal.
func (e executor) ExecInContainer(ctx context.Context, _ string, _ types.UID, _ string, command []string,
	in io.Reader, out, errOut io.WriteCloser, _ bool, _ <-chan remoteclient.TerminalSize, _ time.Duration,
) error {
	words := append([]string{"env", "PATH=" + path}, command...)
	if !e.pod.Spec.HostNetwork {
		name := namespace(string(e.pod.UID))
		// kwok is quick to say that a pod runs.
		for tries := 0; output("ip", "-n", name, "route", "show", "default") == ""; tries++ {
			if tries == 50 {
				return fmt.Errorf("pod %s has no network", e.pod.Name)
			}
			time.Sleep(100 * time.Millisecond)
		}
		words = append([]string{"ip", "netns", "exec", name}, words...)
	}
	child := exec.CommandContext(ctx, words[0], words[1:]...)
	child.Stdout, child.Stderr = out, errOut
	if errOut == nil {
		child.Stderr = out
	}
	if in != nil {
		// Wait would wait for the end of what nobody types.
		input, err := child.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(input, in)
			_ = input.Close()
		}()
	}
	err := child.Run()
	if ended, is := err.(*exec.ExitError); is {
		return utilexec.CodeExitError{Err: ended, Code: ended.ExitCode()}
	}
	return err
}

func (k *kubelet) logs(w http.ResponseWriter, request *http.Request) {
	pod, err := k.asked(request)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	file, query := logFile(pod), request.URL.Query()
	if _, err := os.Stat(file); err != nil {
		_, _ = io.WriteString(w, "nothing runs in here: the pods of the lab are played\n")
		return
	}
	lines := query.Get("tailLines")
	if lines == "" {
		lines = "+1"
	}
	words := []string{"--lines=" + lines, file}
	if strings.EqualFold(query.Get("follow"), "true") {
		words = append(words, "--follow")
	}
	child := exec.CommandContext(request.Context(), "tail", words...)
	child.Stdout = flushing{w}
	_ = child.Run()
}

type flushing struct{ http.ResponseWriter }

func (f flushing) Write(text []byte) (int, error) {
	count, err := f.ResponseWriter.Write(text)
	if flusher, is := f.ResponseWriter.(http.Flusher); is {
		flusher.Flush()
	}
	return count, err
}

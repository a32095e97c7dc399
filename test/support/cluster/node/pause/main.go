// The pause program of the throw-away cluster: it says the pod's name, holds the pod's namespaces and waits for
// the end. It can do a little more, for tests that need something behind a Service or on a volume.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Where every pod finds who it is, and whom to believe.
const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	serve := flag.String("serve", "", "address to answer HTTP on, \":8080\"")
	ask := flag.String("ask", "", "URL to ask the API server for as the pod's ServiceAccount; prints the status")
	once := flag.Bool("once", false, "end after saying the name")
	write := flag.String("write", "", "file to write the pod's name to first, as proof of a volume")
	flag.Parse()

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	if *ask != "" {
		status, err := answer(*ask)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(status)
		return
	}
	name, _ := os.Hostname()
	fmt.Println(name)
	if *once {
		return
	}
	if *write != "" {
		if err := os.WriteFile(*write, []byte(name+"\n"), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if *serve != "" {
		http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, name) })
		go func() {
			fmt.Fprintln(os.Stderr, http.ListenAndServe(*serve, nil))
			os.Exit(1)
		}()
	}
	<-ended
}

func answer(url string) (int, error) {
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return 0, err
	}
	authority, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return 0, err
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(authority)
	client := http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted}},
	}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	return response.StatusCode, nil
}

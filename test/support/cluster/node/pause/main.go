// The pause program of the throw-away cluster: it says the pod's name, holds the pod's namespaces and waits for
// the end. It can do a little more, for tests that need something behind a Service or on a volume.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	serve := flag.String("serve", "", "address to answer HTTP on, \":8080\"")
	once := flag.Bool("once", false, "end after saying the name")
	write := flag.String("write", "", "file to write the pod's name to first, as proof of a volume")
	flag.Parse()

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
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

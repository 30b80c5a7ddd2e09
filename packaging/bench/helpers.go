package main

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"
)

// helpers are the servers that this program is when it starts itself anew.
func helpers() map[string]func(args []string) error {
	return map[string]func([]string) error{
		"serve-upstream": serveUpstream, "serve-proxy": serveProxy, "serve-auth": serveAuth,
	}
}

// serveUpstream answers /fast/… at once and /5ms/… after that delay.
func serveUpstream(args []string) error {
	answers := map[string][]byte{"1k": fill(1 << 10), "64k": fill(64 << 10), "stream": fill(1 << 10)}
	handler := func(w http.ResponseWriter, r *http.Request) {
		delay, kind, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if wait, err := time.ParseDuration(delay); err == nil {
			time.Sleep(wait)
		}
		body, ok := answers[kind]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header()["Content-Type"] = []string{"application/octet-stream"}
		if kind != "stream" {
			w.Header()["Content-Length"] = []string{fmt.Sprint(len(body))}
			w.Write(body)
			return
		}
		for range 8 {
			w.Write(body)
			w.(http.Flusher).Flush()
		}
	}
	return http.ListenAndServe(args[0], http.HandlerFunc(handler))
}

func fill(size int) []byte { return []byte(strings.Repeat("gatehouse bench\n", size/16)) }

// serveProxy is the bare reverse proxy with a tuned Transport.
func serveProxy(args []string) error {
	target, err := url.Parse("http://" + args[1])
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, DisableCompression: true,
			IdleConnTimeout: time.Minute, WriteBufferSize: 16 << 10, ReadBufferSize: 16 << 10},
		FlushInterval: -1,
	}
	return http.ListenAndServe(args[0], proxy)
}

// serveAuth is the smallest service that nginx and Caddy may ask: it knows one key.
func serveAuth(args []string) error {
	want := "Bearer " + benchKey
	return http.ListenAndServe(args[0], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != want {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header()["X-Gatehouse-Org"] = []string{"org_bench"}
		w.WriteHeader(http.StatusOK)
	}))
}

// benchKey is what serveAuth accepts; Gatehouse gets a key of its own.
const benchKey = "bench"

// SPDX-License-Identifier: MIT

// The server of bench/net on Go's net and crypto/tls, on one processor: a goroutine for each
// connection.  Its arguments: server.h.
package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"runtime"
)

const (
	buffer = 1024 // of a connection that echoes
	bulk   = 64 << 10
)

func echo(conn net.Conn) {
	buf := make([]byte, buffer)

	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		if _, err = conn.Write(buf[:n]); err != nil {
			return
		}
	}
}

func move(some func([]byte) (int, error)) {
	data := make([]byte, bulk)

	for {
		if _, err := some(data); err != nil {
			return
		}
	}
}

func serve(conn net.Conn, use string) {
	defer conn.Close()
	switch use {
	case "send":
		move(conn.Write)
	case "receive":
		move(conn.Read)
	default:
		echo(conn)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	must(err)
	port := listener.Addr().(*net.TCPAddr).Port
	if pem := os.Getenv("BENCH_PEM"); pem != "" {
		pair, err := tls.LoadX509KeyPair(pem, pem)
		must(err)
		listener = tls.NewListener(listener, &tls.Config{
			Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS13})
	}
	fmt.Println(port)
	for {
		conn, err := listener.Accept()
		must(err)
		go serve(conn, os.Args[2])
	}
}

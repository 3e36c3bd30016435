// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// A server that joins a service and reports how many requests it has:
// LBCTL_SERVICE=web go run tools/examples/join.go 8080 (Go 1.24 and newer: GODEBUG=multipathtcp=0)
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

var busy int64

// Joins, then reports until the keeper is gone, or refuses to take it.
func keep(fd int) error {
	keeper, err := net.Dial("unixpacket", "/run/lbctl/"+os.Getenv("LBCTL_SERVICE")+".sock")
	if err != nil {
		return err
	}
	defer keeper.Close()
	ask := map[string]any{"fd": fd}
	if worker, err := strconv.Atoi(os.Getenv("LBCTL_WORKER")); err == nil {
		ask["worker"] = worker
	}
	question, _ := json.Marshal(map[string]any{"join": ask})
	keeper.Write(question)
	var answer struct {
		Status, Worker int
		Text           string
	}
	packet := make([]byte, 4096)
	if n, err := keeper.Read(packet); err != nil || json.Unmarshal(packet[:n], &answer) != nil || answer.Status != 0 {
		return fmt.Errorf("%s %v", answer.Text, err)
	}
	fmt.Println("worker", answer.Worker)
	for err == nil {
		_, err = fmt.Fprintf(keeper, `{"load":%d}`, atomic.LoadInt64(&busy))
		time.Sleep(250 * time.Millisecond)
	}
	return nil
}

func main() {
	var number int
	shared := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) {
			number = int(fd)
			syscall.SetsockoptInt(number, syscall.SOL_SOCKET, 15, 1) // SO_REUSEPORT
		})
	}}
	listener, err := shared.Listen(context.Background(), "tcp4", ":"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		atomic.AddInt64(&busy, 1)
		defer atomic.AddInt64(&busy, -1)
		fmt.Fprintf(w, "pid %d\n", os.Getpid())
	}))
	if err := keep(number); err != nil {
		log.Fatal("can't join: ", err)
	}
	for ; ; time.Sleep(time.Second) {
		keep(number)
	}
}

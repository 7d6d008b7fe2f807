// Command kafkafake is a stand-in for a Kafka broker, for tests where no real one can be had: kfake, franz-go's Kafka in
// one process, on one port, with its data in a folder.
package main

import (
	"flag"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	port := flag.Int("port", 9092, "to listen on, on the loopback")
	data := flag.String("data", "", "folder of the data; none: in memory")
	flag.Parse()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(*port), kfake.DataDir(*data),
		kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		log.Fatalln("kafkafake:", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	<-stop
	cluster.Close()
}

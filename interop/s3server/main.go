// Command s3server is an S3 server for tests: versitygw, with its POSIX
// backend, as a process of its own. It serves the folders of a directory as
// buckets to the account that AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
// name.
//
//	s3server ADDRESS DIRECTORY METADATA-DIRECTORY
package main

import (
	"context"
	"log"
	"os"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: s3server ADDRESS DIRECTORY METADATA-DIRECTORY")
	}
	side, err := meta.NewSideCar(os.Args[3]) // not every file system of a test has attributes
	if err != nil {
		log.Fatal(err)
	}
	be, err := posix.New(os.Args[2], side, posix.PosixOpts{SideCarDir: os.Args[3]})
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(embedgw.RunVersityGW(context.Background(), be, &embedgw.Config{
		RootUserAccess: os.Getenv("AWS_ACCESS_KEY_ID"), RootUserSecret: os.Getenv("AWS_SECRET_ACCESS_KEY"), Region: "us-east-1",
		Ports: []string{os.Args[1]}, MaxConnections: 256, MaxRequests: 256, MultipartMaxParts: 10_000, KeepAlive: true, Quiet: true,
	}))
}

// Command bootstrap is a function that does what its event tells it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type order struct {
	Do   string        `json:"do"`
	Wait time.Duration `json:"wait"`
}

type report struct {
	PID     int           `json:"pid"`
	Beats   int64         `json:"beats"` // of a clock that stands still while the process is frozen
	Env     []string      `json:"env"`
	Left    time.Duration `json:"left"`
	Request string        `json:"request"`
	ARN     string        `json:"arn"`
}

func main() {
	if os.Getenv("BROKEN") != "" {
		fmt.Println("cannot start")
		os.Exit(1)
	}
	var beats atomic.Int64
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			beats.Add(1)
		}
	}()
	lambda.Start(func(ctx context.Context, o order) (report, error) {
		switch o.Do {
		case "crash":
			fmt.Fprint(os.Stderr, "first line\nlast words")
			os.Exit(3)
		case "fail":
			return report{}, errors.New("out of luck")
		case "hang":
			select {}
		}
		time.Sleep(o.Wait)
		deadline, _ := ctx.Deadline()
		called, _ := lambdacontext.FromContext(ctx)
		return report{
			PID: os.Getpid(), Beats: beats.Load(), Env: os.Environ(), Left: time.Until(deadline),
			Request: called.AwsRequestID, ARN: called.InvokedFunctionArn,
		}, nil
	})
}

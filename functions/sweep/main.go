// Command sweep is the Lambda function that the scheduler calls every minute: it ends what is due.
package main

import (
	"context"
	"os"

	"github.com/aws/aws-lambda-go/lambda"

	"dbsts/shared/edge"
	"dbsts/shared/logging"
	"dbsts/shared/wiring"
)

func main() {
	log := logging.New(os.Stdout, os.Getenv("AWS_LAMBDA_LOG_LEVEL"))
	sweeper, err := wiring.Sweep(context.Background(), edge.ConfigPath(), log)
	if err != nil {
		edge.Exit(log, err)
	}
	lambda.Start(Handler{Broker: sweeper, Log: log}.Handle)
}

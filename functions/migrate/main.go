// Command migrate is the Lambda function that a deployment calls once: it installs or updates the schema on every server.
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
	migrator, err := wiring.Migrate(context.Background(), edge.ConfigPath(), log)
	if err != nil {
		edge.Exit(log, err)
	}
	lambda.Start(Handler{Broker: migrator, Log: log}.Handle)
}

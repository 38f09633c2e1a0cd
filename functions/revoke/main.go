// Command revoke is the Lambda function behind POST /revoke: whoever holds a credential may end it.
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
	revoker, err := wiring.Revoke(context.Background(), edge.ConfigPath(), log)
	if err != nil {
		edge.Exit(log, err)
	}
	lambda.Start(Handler{Broker: revoker, Log: log}.Handle)
}

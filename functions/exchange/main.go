// Command exchange is the Lambda function behind POST /token and the discovery documents: a token goes in, a login of a
// few minutes comes out.
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
	exchanger, configuration, err := wiring.Exchange(context.Background(), edge.ConfigPath(), log)
	if err != nil {
		edge.Exit(log, err)
	}
	lambda.Start(Handler{Broker: exchanger, URL: configuration.URL, Log: log}.Handle)
}

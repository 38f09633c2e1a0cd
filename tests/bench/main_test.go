package bench_test

import (
	"os"
	"testing"

	"dbsts/tests/bench"
)

var table bench.Table

func TestMain(m *testing.M) { os.Exit(bench.Main(m, &table)) }

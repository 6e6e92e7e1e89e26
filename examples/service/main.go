// Command service is an HTTP service with a scheduler in it. Whoever orders something gets the
// order and the run that delivers it, or neither; two are delivered at a time, however many
// instances of the service there are.
//
//	go run ./examples/service
//	curl -d item=tea http://127.0.0.1:8080/orders
//
// http://127.0.0.1:8080 shows the gate filling.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/usher-go/usher/locking"
	"github.com/usher-go/usher/models"
	"github.com/usher-go/usher/repo"
	"github.com/usher-go/usher/runner"
)

// Order is a row of the service's own.
type Order struct {
	ID        int64
	Item      string
	Delivered bool
}

type service struct {
	db   *gorm.DB
	repo *repo.Repo
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	s := open(ctx)
	listener, err := net.Listen("tcp", cmp.Or(os.Getenv("LISTEN"), "127.0.0.1:8080"))
	check(err)
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	fmt.Printf("listening on http://%s\n", listener.Addr())
	check(runner.Run(ctx, s.repo, s.deliver, runner.Poll(200*time.Millisecond))) // what is being delivered is delivered
	check(server.Shutdown(context.WithoutCancel(ctx)))                           // what is being answered is answered
}

func open(ctx context.Context) service {
	db, err := gorm.Open(sqlite.Open("service.db?_busy_timeout=10000&_journal_mode=WAL"))
	check(err)
	check(db.Use(locking.New()))
	r, err := repo.New(db)
	check(err)
	check(r.Migrate(ctx, &Order{}))
	_, err = r.SetDag(ctx, "deliver", repo.MaxActiveRuns(2))
	check(err)
	return service{db, r}
}

func (s service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders", s.order)
	mux.HandleFunc("GET /{$}", s.show)
	return mux
}

// order stores an order and queues its delivery, in one transaction.
func (s service) order(w http.ResponseWriter, request *http.Request) {
	order := Order{Item: request.PostFormValue("item")}
	if order.Item == "" {
		http.Error(w, "give an item", http.StatusBadRequest)
		return
	}
	err := s.db.WithContext(request.Context()).Transaction(func(tx *gorm.DB) error {
		in, err := s.repo.WithTx(tx)
		if err != nil {
			return err
		}
		if err := tx.Create(&order).Error; err != nil {
			return err
		}
		_, err = in.Enqueue(request.Context(), models.DagRun{DagID: "deliver", RunID: strconv.FormatInt(order.ID, 10)})
		return err
	})
	if err != nil {
		log.Print(err)
		http.Error(w, "try again", http.StatusInternalServerError)
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprintln(w, order.ID)
}

// deliver is what the runner calls for each run that is admitted.
func (s service) deliver(ctx context.Context, run models.DagRun) error {
	fmt.Println("started", run.RunID)
	defer fmt.Println("ending", run.RunID)
	select {
	case <-time.After(200 * time.Millisecond): // the work
		return s.db.WithContext(ctx).Model(&Order{}).Where("id = ?", run.RunID).Update("delivered", true).Error
	case <-ctx.Done():
		return ctx.Err()
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

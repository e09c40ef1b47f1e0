// Commands, events and a query in Avro JSON over plain AMQP. See docs/reference/wire.md.
//
// Usage: speak_json AMQP_URL
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"log"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	patience   = 30 * time.Second // for a reply or an event
	partitions = 2
	reading    = `{"type": "record", "name": "Reading", "fields": [
		{"name": "station", "type": "string"},
		{"name": "celsius", "type": ["null", "double"]},
		{"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}`
)

// object is a record in Avro JSON. A union that isn't null is tagged with its branch: {"string": "station"}.
type object map[string]any

// event is what we show of an event.
type event struct {
	RoutingKey string          `json:"routing_key"`
	Type       string          `json:"type"`
	Position   int64           `json:"position"`
	Version    int64           `json:"version"`
	CausedBy   string          `json:"caused_by"`
	Data       json.RawMessage `json:"data"`
}

// platform is a connection with a queue for replies and one for events.
type platform struct {
	connection *amqp.Connection
	channel    *amqp.Channel
	replyTo    string
	replies    <-chan amqp.Delivery
	events     <-chan amqp.Delivery
}

func connect(url string) (*platform, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	channel, err := connection.Channel()
	if err != nil {
		return nil, err
	}
	if err := channel.Confirm(false); err != nil {
		return nil, err
	}
	p := &platform{connection: connection, channel: channel}
	if p.replyTo, p.replies, err = p.consume(); err != nil {
		return nil, err
	}
	// Of a subscriber that may not miss anything the queue would have a name, be durable, and not be exclusive.
	name, events, err := p.consume()
	if err != nil {
		return nil, err
	}
	p.events = events
	return p, channel.QueueBind(name, "*.lake.#", "lake.events", false, nil)
}

// consume declares a queue of our own that goes with the connection.
func (p *platform) consume() (string, <-chan amqp.Delivery, error) {
	queue, err := p.channel.QueueDeclare("", false, false, true, false, nil)
	if err != nil {
		return "", nil, err
	}
	deliveries, err := p.channel.Consume(queue.Name, "", false, true, false, false, nil)
	return queue.Name, deliveries, err
}

// send sends a command and waits for its outcome. A retry has the same id and the same body.
func (p *platform) send(messageType string, message any, actorID, id string) (json.RawMessage, error) {
	reply, err := p.speak("lake.commands", messageType, message, amqp.Publishing{
		MessageId:    id,
		DeliveryMode: amqp.Persistent,
		Headers:      amqp.Table{"actor-id": actorID},
	})
	return reply.Body, err
}

// ask asks a query; the answer, after its type, reflects everything up to a position.
func (p *platform) ask(messageType string, message any, afterPosition int64) ([]any, error) {
	reply, err := p.speak("lake.queries", messageType, message, amqp.Publishing{
		MessageId: newID(),
		Headers:   amqp.Table{"after-position": afterPosition, "timeout-ms": 5000},
	})
	return []any{reply.Type, json.RawMessage(reply.Body)}, err
}

func (p *platform) speak(exchange, messageType string, message any, sent amqp.Publishing) (amqp.Delivery, error) {
	body, err := json.Marshal(message)
	if err != nil {
		return amqp.Delivery{}, err
	}
	sent.Type = messageType
	sent.ContentType = "application/avro+json"
	sent.ReplyTo = p.replyTo
	sent.Timestamp = time.Now()
	sent.AppId = "speak_json"
	sent.Body = body
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	confirm, err := p.channel.PublishWithDeferredConfirmWithContext(ctx, exchange, messageType, false, false, sent)
	if err != nil {
		return amqp.Delivery{}, err
	}
	if isSafe, err := confirm.WaitContext(ctx); err != nil {
		return amqp.Delivery{}, err
	} else if !isSafe {
		return amqp.Delivery{}, fmt.Errorf("the broker refused %s %s", messageType, sent.MessageId)
	}
	for {
		reply, err := next(ctx, p.replies)
		if err != nil {
			return amqp.Delivery{}, fmt.Errorf("no reply to %s %s: %w", messageType, sent.MessageId, err)
		}
		if reply.CorrelationId == sent.MessageId { // a reply to something else came too late, and is dropped
			return reply, nil
		}
	}
}

// follow gives the events up to a position, in the order they came; one that comes twice has the same id, and counts
// once.
func (p *platform) follow(untilPosition int64) ([]event, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	known := map[string]bool{}
	var events []event
	for {
		delivery, err := next(ctx, p.events)
		if err != nil {
			return nil, fmt.Errorf("no event up to position %d: %w", untilPosition, err)
		}
		if known[delivery.MessageId] {
			continue
		}
		known[delivery.MessageId] = true
		one := event{
			RoutingKey: delivery.RoutingKey,
			Type:       delivery.Type,
			Position:   delivery.Headers["position"].(int64),
			Version:    delivery.Headers["version"].(int64),
			CausedBy:   delivery.Headers["causation-id"].(string),
			Data:       delivery.Body,
		}
		events = append(events, one)
		if one.Position >= untilPosition {
			return events, nil
		}
	}
}

// next is the next message of a queue, acknowledged.
func next(ctx context.Context, deliveries <-chan amqp.Delivery) (amqp.Delivery, error) {
	select {
	case delivery, open := <-deliveries:
		if !open {
			return delivery, amqp.ErrClosed
		}
		return delivery, delivery.Ack(false)
	case <-ctx.Done():
		return amqp.Delivery{}, ctx.Err()
	}
}

// partitionOf is where the records of a station go: as lake.AppendRecords says.
func partitionOf(station string) uint32 {
	return crc32.ChecksumIEEE([]byte(station)) % partitions
}

// newID is a random UUID (version 4).
func newID() string {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// show prints a step's result as a line of JSON.
func show(step string, result any, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", step, err)
	}
	return json.NewEncoder(os.Stdout).Encode(object{"step": step, "result": result})
}

func run(url string) error {
	platform, err := connect(url)
	if err != nil {
		return err
	}
	defer platform.connection.Close()
	id := newID()
	dataset := "readings-" + id[:8]

	create := object{"name": "Readings", "schema": reading, "key": object{"string": "station"}, "partitions": partitions}
	for _, step := range []struct {
		name    string
		message object
		id      string
	}{
		{"created", create, id},
		{"retried", create, id},
		{"rejected", create, newID()},
		{"failed", object{"name": 1}, newID()},
	} {
		outcome, err := platform.send("lake.CreateDataset", step.message, dataset, step.id)
		if err := show(step.name, outcome, err); err != nil {
			return err
		}
	}

	records, err := json.Marshal([]object{
		{"station": "KJFK", "celsius": object{"double": 3.9}, "at": 1357034400000},
		{"station": "KJFK", "celsius": nil, "at": 1357038000000},
	})
	if err != nil {
		return err
	}
	partition := fmt.Sprintf("%s:%d", dataset, partitionOf("KJFK"))
	appended, err := platform.send("lake.AppendRecords", object{"records": string(records)}, partition, newID())
	if err := show("appended", appended, err); err != nil {
		return err
	}
	var outcome struct{ Position int64 }
	if err := json.Unmarshal(appended, &outcome); err != nil {
		return err
	}
	events, err := platform.follow(outcome.Position)
	if err := show("events", events, err); err != nil {
		return err
	}

	isKnown := object{"field": "celsius", "op": "NOT_NULL", "value": "null"}
	found, err := platform.ask("lake.FindRecords", object{"dataset": dataset, "where": []object{isKnown}}, outcome.Position)
	if err := show("found", found, err); err != nil {
		return err
	}
	unknown, err := platform.ask("lake.GetDataset", object{"dataset": "nowhere"}, 0)
	return show("unknown", unknown, err)
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: speak_json AMQP_URL")
	}
	if err := run(os.Args[1]); err != nil {
		log.Fatal(err)
	}
}

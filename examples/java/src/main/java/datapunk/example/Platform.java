package datapunk.example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.rabbitmq.client.AMQP.BasicProperties;
import com.rabbitmq.client.Channel;
import com.rabbitmq.client.Connection;
import com.rabbitmq.client.ConnectionFactory;
import java.io.IOException;
import java.time.Duration;
import java.util.Date;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** A connection with a queue for replies and one for events. */
final class Platform implements AutoCloseable {
  private static final Duration PATIENCE = Duration.ofSeconds(30); // for a confirm, a reply or an event
  private static final int PERSISTENT = 2;
  private static final ObjectMapper JSON = new ObjectMapper();

  private final Connection connection;
  private final Channel channel;
  private final BlockingQueue<Message> replies = new LinkedBlockingQueue<>();
  private final BlockingQueue<Message> events = new LinkedBlockingQueue<>();
  private final String replyTo;

  /** A message that came. */
  record Message(String routingKey, BasicProperties properties, JsonNode body) {}

  Platform(String url) throws Exception {
    ConnectionFactory factory = new ConnectionFactory();
    factory.setUri(url);
    connection = factory.newConnection("speak_json");
    channel = connection.createChannel();
    channel.confirmSelect();
    replyTo = consume(replies);
    // Of a subscriber that may not miss anything the queue would have a name, be durable, and not be exclusive.
    channel.queueBind(consume(events), "lake.events", "*.lake.#");
  }

  /** A queue of our own that goes with the connection; its messages are put into `taken`. */
  private String consume(BlockingQueue<Message> taken) throws IOException {
    String queue = channel.queueDeclare().getQueue();
    channel.basicConsume(
        queue,
        false,
        (tag, delivery) -> {
          JsonNode body = JSON.readTree(delivery.getBody());
          taken.add(new Message(delivery.getEnvelope().getRoutingKey(), delivery.getProperties(), body));
          channel.basicAck(delivery.getEnvelope().getDeliveryTag(), false);
        },
        tag -> {});
    return queue;
  }

  /** Send a command and wait for its outcome. A retry has the same id and the same body. */
  JsonNode send(String type, Object message, String actorId, UUID id) throws Exception {
    BasicProperties.Builder properties = new BasicProperties.Builder().deliveryMode(PERSISTENT);
    return speak("lake.commands", type, message, id, properties.headers(Map.of("actor-id", actorId))).body();
  }

  /** Ask a query; the answer reflects everything up to a position. */
  Message ask(String type, Object message, long afterPosition) throws Exception {
    Map<String, Object> headers = Map.of("after-position", afterPosition, "timeout-ms", 5000);
    return speak("lake.queries", type, message, UUID.randomUUID(), new BasicProperties.Builder().headers(headers));
  }

  /** Events up to a position, in the order they came; one that comes twice has the same id, and counts once. */
  List<Message> follow(long untilPosition) throws Exception {
    Map<String, Message> seen = new LinkedHashMap<>();
    Message event;
    do {
      event = next(events, "event up to position " + untilPosition);
      seen.putIfAbsent(event.properties().getMessageId(), event);
    } while ((long) event.properties().getHeaders().get("position") < untilPosition);
    return List.copyOf(seen.values());
  }

  @Override
  public void close() throws IOException {
    connection.close();
  }

  private Message speak(String exchange, String type, Object message, UUID id, BasicProperties.Builder properties)
      throws Exception {
    properties
        .messageId(id.toString())
        .type(type)
        .contentType("application/avro+json")
        .replyTo(replyTo)
        .timestamp(new Date())
        .appId("speak_json");
    channel.basicPublish(exchange, type, properties.build(), JSON.writeValueAsBytes(message));
    channel.waitForConfirmsOrDie(PATIENCE.toMillis()); // from here on the broker has it safely
    while (true) {
      Message reply = next(replies, "reply to " + type + " " + id);
      if (id.toString().equals(reply.properties().getCorrelationId())) {
        return reply; // any other came too late, and is dropped
      }
    }
  }

  private static Message next(BlockingQueue<Message> taken, String what) throws Exception {
    Message message = taken.poll(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
    if (message == null) {
      throw new TimeoutException("no " + what);
    }
    return message;
  }
}

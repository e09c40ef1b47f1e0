package datapunk.example;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.rabbitmq.client.AMQP.BasicProperties;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.zip.CRC32;

/** Commands, events and a query in Avro JSON over plain AMQP. See docs/reference/wire.md. */
public final class SpeakJson {
  private static final int PARTITIONS = 2;
  private static final String READING =
      """
      {"type": "record", "name": "Reading", "fields": [
        {"name": "station", "type": "string"},
        {"name": "celsius", "type": ["null", "double"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}
      """;
  private static final ObjectMapper JSON = new ObjectMapper();

  private SpeakJson() {}

  public static void main(String[] arguments) throws Exception {
    if (arguments.length != 1) {
      System.err.println("usage: java -jar speak-json.jar AMQP_URL");
      System.exit(2);
    }
    try (Platform platform = new Platform(arguments[0])) {
      speak(platform);
    }
  }

  private static void speak(Platform platform) throws Exception {
    UUID id = UUID.randomUUID();
    String dataset = "readings-" + id.toString().substring(0, 8);

    // A union that isn't null is tagged with its branch: {"string": "station"}.
    Map<String, Object> create =
        Map.of("name", "Readings", "schema", READING, "key", Map.of("string", "station"), "partitions", PARTITIONS);
    show("created", platform.send("lake.CreateDataset", create, dataset, id));
    show("retried", platform.send("lake.CreateDataset", create, dataset, id));
    show("rejected", platform.send("lake.CreateDataset", create, dataset, UUID.randomUUID()));
    show("failed", platform.send("lake.CreateDataset", Map.of("name", 1), dataset, UUID.randomUUID()));

    Map<String, Object> unknown = new HashMap<>(Map.of("station", "KJFK", "at", 1357038000000L));
    unknown.put("celsius", null);
    Map<String, Object> known = Map.of("station", "KJFK", "at", 1357034400000L, "celsius", Map.of("double", 3.9));
    Map<String, Object> append = Map.of("records", JSON.writeValueAsString(List.of(known, unknown)));
    String partition = dataset + ":" + partitionOf("KJFK");
    JsonNode outcome = platform.send("lake.AppendRecords", append, partition, UUID.randomUUID());
    show("appended", outcome);
    long position = outcome.get("position").longValue();
    show("events", platform.follow(position).stream().map(SpeakJson::shown).toList());

    Map<String, Object> isKnown = Map.of("field", "celsius", "op", "NOT_NULL", "value", "null");
    Map<String, Object> find = Map.of("dataset", dataset, "where", List.of(isKnown));
    show("found", answer(platform.ask("lake.FindRecords", find, position)));
    show("unknown", answer(platform.ask("lake.GetDataset", Map.of("dataset", "nowhere"), 0)));
  }

  private static Map<String, Object> shown(Platform.Message event) {
    BasicProperties properties = event.properties();
    Map<String, Object> headers = properties.getHeaders();
    return Map.of(
        "routing_key", event.routingKey(),
        "type", properties.getType(),
        "position", headers.get("position"),
        "version", headers.get("version"),
        "caused_by", headers.get("causation-id").toString(),
        "data", event.body());
  }

  private static List<Object> answer(Platform.Message reply) {
    return List.of(reply.properties().getType(), reply.body());
  }

  /** Where the records of a station go: as lake.AppendRecords says. */
  private static long partitionOf(String station) {
    CRC32 sum = new CRC32();
    sum.update(station.getBytes(StandardCharsets.UTF_8));
    return sum.getValue() % PARTITIONS;
  }

  private static void show(String step, Object result) throws Exception {
    System.out.println(JSON.writeValueAsString(Map.of("step", step, "result", result)));
  }
}

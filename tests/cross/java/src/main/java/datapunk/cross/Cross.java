package datapunk.cross;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.security.NoSuchAlgorithmException;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;
import org.apache.avro.Conversion;
import org.apache.avro.Conversions;
import org.apache.avro.Schema;
import org.apache.avro.SchemaNormalization;
import org.apache.avro.data.TimeConversions;
import org.apache.avro.generic.GenericData;
import org.apache.avro.generic.GenericDatumReader;
import org.apache.avro.generic.GenericDatumWriter;
import org.apache.avro.generic.GenericRecord;
import org.apache.avro.generic.GenericRecordBuilder;
import org.apache.avro.io.Decoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.Encoder;
import org.apache.avro.io.EncoderFactory;

/**
 * Reads vectors.json with Apache Avro, and writes what it read: for each vector an object with what is wrong, or with
 * Avro's own encodings.
 *
 * <p>Usage: java -jar cross.jar VECTORS_JSON
 */
public final class Cross {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final GenericData PLAIN = new GenericData();
  private static final GenericData LOGICAL = new GenericData();
  private static final int SMALL_BLOCKS = 64; // bytes, the least

  static {
    List<Conversion<?>> conversions =
        List.of(
            new Conversions.DecimalConversion(),
            new Conversions.UUIDConversion(),
            new TimeConversions.DateConversion(),
            new TimeConversions.TimeMillisConversion(),
            new TimeConversions.TimeMicrosConversion(),
            new TimeConversions.TimestampMillisConversion(),
            new TimeConversions.TimestampMicrosConversion(),
            new TimeConversions.LocalTimestampMillisConversion(),
            new TimeConversions.LocalTimestampMicrosConversion());
    conversions.forEach(LOGICAL::addLogicalTypeConversion);
  }

  private Cross() {}

  /** Makes the encoder for a schema. */
  private interface Encoding {
    Encoder of(Schema schema, ByteArrayOutputStream out) throws IOException;
  }

  private static final Encoding AS_JSON = (schema, out) -> EncoderFactory.get().jsonEncoder(schema, out);
  private static final Encoding AS_BINARY = (schema, out) -> EncoderFactory.get().binaryEncoder(out, null);
  private static final Encoding IN_BLOCKS =
      (schema, out) -> new EncoderFactory().configureBlockSize(SMALL_BLOCKS).blockingBinaryEncoder(out, null);

  public static void main(String[] arguments) throws IOException {
    JsonNode vectors = JSON.readTree(new File(arguments[0]));
    ArrayNode results = JSON.createArrayNode();
    for (JsonNode vector : vectors.get("values")) {
      results.add(attempt(vector, Cross::value));
    }
    for (JsonNode vector : vectors.get("resolutions")) {
      results.add(attempt(vector, Cross::resolution));
    }
    System.out.println(JSON.writeValueAsString(results));
  }

  /** What is done with a vector. */
  private interface Check {
    void of(JsonNode vector, ObjectNode result) throws IOException;
  }

  private static ObjectNode attempt(JsonNode vector, Check check) {
    ObjectNode result = JSON.createObjectNode().put("name", vector.get("name").textValue());
    try {
      check.of(vector, result);
    } catch (IOException | RuntimeException error) {
      result.put("wrong", error.toString());
    }
    return result;
  }

  private static void value(JsonNode vector, ObjectNode result) throws IOException {
    Schema schema = new Schema.Parser().parse(vector.get("schema").textValue());
    result.put("fingerprint", fingerprint(schema));
    GenericRecord fromJson = read(PLAIN, schema, schema, json(schema, vector));
    GenericRecord fromBinary = read(PLAIN, schema, schema, binary(vector));
    if (!fromJson.equals(fromBinary)) {
      result.put("wrong", "in JSON " + fromJson + ", in binary " + fromBinary);
    }
    result.put("json", new String(write(PLAIN, fromBinary, AS_JSON), StandardCharsets.UTF_8));
    result.put("binary", HexFormat.of().formatHex(write(PLAIN, fromJson, AS_BINARY)));
    result.put("blocks", HexFormat.of().formatHex(write(PLAIN, fromJson, IN_BLOCKS)));
    if (!vector.get("means").isNull()) {
      meaning(vector, schema, result);
    }
  }

  /** What a logical type means: read, and written. */
  private static void meaning(JsonNode vector, Schema schema, ObjectNode result) throws IOException {
    Object meant = parsed(schema.getField("value").schema().getLogicalType().getName(), vector.get("means").textValue());
    Object found = read(LOGICAL, schema, schema, binary(vector)).get("value");
    if (!found.equals(meant)) {
      result.put("wrong", "it means " + found);
    }
    GenericRecord written = new GenericRecordBuilder(schema).set("value", meant).build();
    result.put("meant", HexFormat.of().formatHex(write(LOGICAL, written, AS_BINARY)));
  }

  private static Object parsed(String type, String text) {
    return switch (type) {
      case "decimal" -> new BigDecimal(text);
      case "uuid" -> UUID.fromString(text);
      case "date" -> LocalDate.parse(text);
      case "time-millis", "time-micros" -> LocalTime.parse(text);
      case "timestamp-millis", "timestamp-micros" -> Instant.parse(text);
      case "local-timestamp-millis", "local-timestamp-micros" -> LocalDateTime.parse(text);
      default -> throw new IllegalArgumentException(type);
    };
  }

  private static void resolution(JsonNode vector, ObjectNode result) throws IOException {
    Schema writer = new Schema.Parser().parse(vector.get("schema").textValue());
    Schema reader = new Schema.Parser().parse(vector.get("reader").textValue());
    GenericRecord fromJson = read(PLAIN, writer, reader, json(writer, vector));
    GenericRecord fromBinary = read(PLAIN, writer, reader, binary(vector));
    if (!fromJson.equals(fromBinary)) {
      result.put("wrong", "in JSON " + fromJson + ", in binary " + fromBinary);
    }
    result.put("json", new String(write(PLAIN, fromBinary, AS_JSON), StandardCharsets.UTF_8));
  }

  private static String fingerprint(Schema schema) {
    try {
      return HexFormat.of().formatHex(SchemaNormalization.parsingFingerprint("CRC-64-AVRO", schema));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  private static Decoder json(Schema schema, JsonNode vector) throws IOException {
    return DecoderFactory.get().jsonDecoder(schema, vector.get("json").textValue());
  }

  private static Decoder binary(JsonNode vector) {
    byte[] bytes = HexFormat.of().parseHex(vector.get("binary").textValue());
    return DecoderFactory.get().binaryDecoder(bytes, null);
  }

  private static GenericRecord read(GenericData data, Schema writer, Schema reader, Decoder decoder)
      throws IOException {
    return new GenericDatumReader<GenericRecord>(writer, reader, data).read(null, decoder);
  }

  private static byte[] write(GenericData data, GenericRecord record, Encoding encoding) throws IOException {
    ByteArrayOutputStream out = new ByteArrayOutputStream();
    Encoder encoder = encoding.of(record.getSchema(), out);
    new GenericDatumWriter<GenericRecord>(record.getSchema(), data).write(record, encoder);
    encoder.flush();
    return out.toByteArray();
  }
}

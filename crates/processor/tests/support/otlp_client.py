"""Sends spans of calls of language models with the OpenTelemetry SDK, and sends again what was not taken.

    otlp_client.py <file with the endpoint> <file of acknowledged spans> <file that ends it>

The processor under test comes and goes, at another port each time; the first file says where it is. For every
batch that was acknowledged a line goes into the second file: attempts before it that may have been kept, then
the numbers of its spans. When the third file exists, one last span is sent, a day later than all others.
"""

import os
import sys
import time

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as names
from opentelemetry.trace import SpanKind, Status, StatusCode

HOUR_NANOS = 3_600_000_000_000
FIRST_NANOS = 1_767_225_600_000_000_000  # 2026-01-01T00:00:00Z


class Insisting(SpanExporter):
    """The exporter of the SDK, asked again until it succeeds."""

    def __init__(self, endpoint_file, acknowledged):
        self.endpoint_file = endpoint_file
        self.acknowledged = acknowledged

    def export(self, spans):
        attempts = 0
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                with open(self.endpoint_file) as file:
                    endpoint = file.read().strip()
            except FileNotFoundError:
                endpoint = ""
            if endpoint:
                exporter = OTLPSpanExporter(endpoint=endpoint, compression=Compression.Gzip, timeout=2)
                if exporter.export(spans) is SpanExportResult.SUCCESS:
                    numbers = [str(span.attributes["test.number"]) for span in spans if "test.number" in span.attributes]
                    self.acknowledged.write(f"{attempts} {' '.join(numbers)}\n")
                    self.acknowledged.flush()
                    return SpanExportResult.SUCCESS
                attempts += 1
            time.sleep(0.01)
        sys.exit("never acknowledged")

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30_000):
        return True


def call(tracer, number, start):
    """A call of a model, by the current names or by those before; with the span of a request around it."""
    attributes = {names.GEN_AI_OPERATION_NAME: "chat", names.GEN_AI_REQUEST_MODEL: "gpt-4o", "test.number": number}
    if number % 2 == 0:
        attributes |= {names.GEN_AI_PROVIDER_NAME: "openai", names.GEN_AI_USAGE_INPUT_TOKENS: 10, names.GEN_AI_USAGE_OUTPUT_TOKENS: 20}
    else:
        attributes |= {names.GEN_AI_SYSTEM: "openai", "gen_ai.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": 20}
    outer = tracer.start_span("GET /ask", kind=SpanKind.SERVER, start_time=start)
    span = tracer.start_span("chat gpt-4o", kind=SpanKind.CLIENT, attributes=attributes, start_time=start)
    if number % 10 == 0:
        span.set_status(Status(StatusCode.ERROR))
        span.set_attribute("error.type", "timeout")
    span.end(end_time=start + 250_000_000)
    outer.end(end_time=start + 300_000_000)


def main():
    endpoint_file, acknowledged_file, end_file = sys.argv[1:]
    with open(acknowledged_file, "w") as acknowledged:
        provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
        exporter = Insisting(endpoint_file, acknowledged)
        provider.add_span_processor(BatchSpanProcessor(exporter, max_export_batch_size=40, schedule_delay_millis=20))
        tracer = provider.get_tracer("test")
        number = 0
        while not os.path.exists(end_file):
            for _ in range(20):
                call(tracer, number, FIRST_NANOS + number * 1_000_000)
                number += 1
            provider.force_flush(60_000)
        call(tracer, -1, FIRST_NANOS + 48 * HOUR_NANOS)
        provider.shutdown()


main()

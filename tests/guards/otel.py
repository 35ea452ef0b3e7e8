"""OpenTelemetry for tests: providers of their own, and what they were told."""

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


class Told:
    """Providers, and what was told to them."""

    def __init__(self, **more) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False, **more)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.meters = MeterProvider([self._reader], shutdown_on_exit=False)

    @property
    def spans(self):
        return self._exporter.get_finished_spans()

    @property
    def span(self):
        (span,) = self.spans
        return span

    def points(self, name):
        """The data points of one metric, with its unit."""
        data = self._reader.get_metrics_data()
        found = [
            (metric.unit, point)
            for resource in (data.resource_metrics if data else [])
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]
        return [point for unit, point in found if unit == "s"]

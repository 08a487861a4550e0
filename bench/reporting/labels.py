"""What a result is called in a table or chart: its name, and those of its parameters that tell it from others."""

from .units import spelled


class Labels:
    def __init__(self, results):
        self.results = results

    def of(self, result, among=None):
        return self._made(result, among or self.results, set())

    def without(self, result, *left_out):
        """The same without parameters that a chart has on its axis."""
        return self._made(result, self.results, set(left_out))

    def _made(self, result, among, left_out):
        differing = [key for key in result["params"]
                     if key not in left_out and self._differs(key, result["name"], among)]
        told = [self._told(key, result["params"][key]) for key in differing]
        return ", ".join([result["name"].replace("_", " "), *told])

    @staticmethod
    def _differs(key, name, among):
        """Within the results of one name: what holds for all of them is said above the table."""
        return len({str(other["params"].get(key)) for other in among if other["name"] == name}) > 1

    @staticmethod
    def _told(key, value):
        if key == "rate_pps":
            return f"at {value:,} packets/s"
        if key.endswith("_bytes"):
            return f"{spelled(key.removesuffix('_bytes'))} {value:,} B"
        if isinstance(value, str):
            return value
        if isinstance(value, bool):
            return spelled(key) if value else f"no {spelled(key)}"
        return f"{spelled(key)} {value:,}" if isinstance(value, (int, float)) else f"{spelled(key)} {value}"

    def common(self):
        """The parameters that are the same for every result that has them: said once."""
        found = {}
        for result in self.results:
            for key, value in result["params"].items():
                found.setdefault(key, {})[str(value)] = value
        return {key: next(iter(values.values())) for key, values in found.items() if len(values) == 1}

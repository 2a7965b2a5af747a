"""Detection and severity from probabilities, as an ONNX graph (paper, II-D)."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser
from onnx import numpy_helper

from infmap_kit.answer.severity import CENTRAL_COLUMNS, THRESHOLDS, nearness
from infmap_kit.model.spec import DETECTION_THRESHOLD, IMAGE_SIZE
from infmap_kit.model.tensors import IR_VERSION, OPSET

# Reductions over (1, 2) leave one number an image. The peak decides; the share of infected pixels,
# in percent of the whole picture, is the severity as long as no lungs are known.
_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
detection (float[N, {size}, {size}] probability)
    => (uint8[N] DETECTED, float[N] SEVERITY, float[N, {size}, {size}] PROBABILITY)
<float threshold = {{{threshold}}}, float percent = {{100.0}}, int64[2] picture = {{1, 2}}>
{{
    peak = ReduceMax <keepdims = 0> (probability, picture)
    detected = GreaterOrEqual (peak, threshold)
    DETECTED = Cast <to = 2> (detected)
    infected = GreaterOrEqual (probability, threshold)
    infected_pixels = Cast <to = 1> (infected)
    share = ReduceMean <keepdims = 0> (infected_pixels, picture)
    SEVERITY = Mul (share, percent)
    PROBABILITY = Identity (probability)
}}
"""

# The definition of infmap_kit.answer.severity. Everything is counted in whole numbers far below 2**24, which
# FP32 holds exactly in whatever order they are summed, and each severity is one division.
# - The midline has the least cost: lung pixels of its column first, then the rank of the column, of which no
#   two are equal; so it is found without an ArgMin, whose ties every library breaks in its own way.
# - What belongs to a side or a zone is a mask of columns or rows of 0 and 1, not a slice: no shape depends on
#   what is in the picture. TensorRT knows uint8 at outputs only.
_LUNG_TEXT = """
<ir_version: {ir_version}, opset_import: ["" : {opset}]>
detection (float[N, 224, 224] probability, float[N, 224, 224] lung_probability)
    => (uint8[N] DETECTED, float[N] SEVERITY, float[N, 224, 224] PROBABILITY,
        uint8[N, 224, 224] LUNGS, float[N, 2] LUNG_SEVERITY, float[N, 6] ZONE_SEVERITY,
        uint8[N] SEVERITY_OF_LUNGS, float[N, 5] SEVERITY_AT)
<{thresholds}, float percent = {{100.0}},
 float zero = {{0.0}}, float one = {{1.0}}, float two = {{2.0}}, float three = {{3.0}},
 float beyond = {{1000.0}}, float ranks = {{512.0}}, float all_pixels = {{50176.0}},
 int64[2] picture = {{1, 2}}, int64[2] plane = {{2, 3}},
 int64[1] first = {{1}}, int64[1] second = {{2}}, int64[1] third = {{3}}, int64[2] six = {{-1, 6}}>
{{
    peak = ReduceMax <keepdims = 0> (probability, picture)
    detected = GreaterOrEqual (peak, threshold)
    DETECTED = Cast <to = 2> (detected)
    PROBABILITY = Identity (probability)

    lung = GreaterOrEqual (lung_probability, {lung_threshold})
    LUNGS = Cast <to = 2> (lung)
    lungs = Cast <to = 1> (lung)
    infection = GreaterOrEqual (probability, threshold)
    infected = Cast <to = 1> (infection)
    inside = Mul (infected, lungs)

    column_area = ReduceSum <keepdims = 1> (lungs, first)
    scaled_area = Mul (column_area, ranks)
    cost = Add (scaled_area, rank)
    least = ReduceMin <keepdims = 1> (cost, second)
    is_midline = Equal (cost, least)
    midline_once = Cast <to = 1> (is_midline)
    midline_place = Mul (midline_once, place)
    midline = ReduceSum <keepdims = 1> (midline_place, second)
    before_midline = Less (place, midline)
    right_columns = Cast <to = 1> (before_midline)
    left_columns = Sub (one, right_columns)
    side_columns = Concat <axis = 1> (right_columns, left_columns)
    sides = Unsqueeze (side_columns, second)

    lungs_plane = Unsqueeze (lungs, first)
    inside_plane = Unsqueeze (inside, first)
    lung_by_side = Mul (lungs_plane, sides)
    inside_by_side = Mul (inside_plane, sides)
    row_area = ReduceSum <keepdims = 0> (lung_by_side, third)
    row_inside = ReduceSum <keepdims = 0> (inside_by_side, third)

    lung_area = ReduceSum <keepdims = 0> (row_area, second)
    lung_inside = ReduceSum <keepdims = 0> (row_inside, second)
    lung_there = Greater (lung_area, zero)
    lung_divisor = Max (lung_area, one)
    lung_hundredfold = Mul (lung_inside, percent)
    lung_share = Div (lung_hundredfold, lung_divisor)
    LUNG_SEVERITY = Where (lung_there, lung_share, nan)

    row_there = Greater (row_area, zero)
    row_present = Cast <to = 1> (row_there)
    row_absent = Sub (one, row_present)
    row_far = Mul (row_absent, beyond)
    row_or_far = Add (row_far, place)
    top = ReduceMin <keepdims = 1> (row_or_far, second)
    row_or_none = Mul (row_present, place)
    bottom = ReduceMax <keepdims = 1> (row_or_none, second)
    reach = Sub (bottom, top)
    height = Add (reach, one)
    twice_height = Mul (height, two)
    depth = Sub (place, top)
    thrice_depth = Mul (depth, three)
    below_upper = GreaterOrEqual (thrice_depth, height)
    below_middle = GreaterOrEqual (thrice_depth, twice_height)
    middle_and_lower = Cast <to = 1> (below_upper)
    lower = Cast <to = 1> (below_middle)
    middle = Sub (middle_and_lower, lower)
    upper = Sub (one, middle_and_lower)
    upper_rows = Unsqueeze (upper, second)
    middle_rows = Unsqueeze (middle, second)
    lower_rows = Unsqueeze (lower, second)
    zones = Concat <axis = 2> (upper_rows, middle_rows, lower_rows)
    row_area_plane = Unsqueeze (row_area, second)
    row_inside_plane = Unsqueeze (row_inside, second)
    area_by_zone = Mul (zones, row_area_plane)
    inside_by_zone = Mul (zones, row_inside_plane)
    zone_area = ReduceSum <keepdims = 0> (area_by_zone, third)
    zone_inside = ReduceSum <keepdims = 0> (inside_by_zone, third)
    zone_there = Greater (zone_area, zero)
    zone_divisor = Max (zone_area, one)
    zone_hundredfold = Mul (zone_inside, percent)
    zone_share = Div (zone_hundredfold, zone_divisor)
    zone_severity = Where (zone_there, zone_share, nan)
    ZONE_SEVERITY = Reshape (zone_severity, six)

    area = ReduceSum <keepdims = 1> (lung_area, first)
    there = Greater (area, zero)
    divisor = Where (there, area, all_pixels)
    infected_inside = ReduceSum <keepdims = 1> (lung_inside, first)
    infected_rows = ReduceSum <keepdims = 0> (infected, second)
    infected_anywhere = ReduceSum <keepdims = 1> (infected_rows, first)
    counted = Where (there, infected_inside, infected_anywhere)
    hundredfold = Mul (counted, percent)
    severity = Div (hundredfold, divisor)
    SEVERITY = Squeeze (severity, first)
    of_lungs = Squeeze (there, first)
    SEVERITY_OF_LUNGS = Cast <to = 2> (of_lungs)

    probability_plane = Unsqueeze (probability, first)
    reaching = GreaterOrEqual (probability_plane, levels)
    reached = Cast <to = 1> (reaching)
    reached_in_lungs = Mul (reached, lungs_plane)
    anywhere_at = ReduceSum <keepdims = 0> (reached, plane)
    inside_at = ReduceSum <keepdims = 0> (reached_in_lungs, plane)
    counted_at = Where (there, inside_at, anywhere_at)
    hundredfold_at = Mul (counted_at, percent)
    SEVERITY_AT = Div (hundredfold_at, divisor)
}}
"""

_NEVER = 1e6
"""Cost of a column outside the central third: above every other, and whole."""


def detection_graph(
    threshold: float = DETECTION_THRESHOLD,
    *,
    lungs: bool = False,
    image_size: int = IMAGE_SIZE,
) -> onnx.ModelProto:
    """Build the detection graph.

    Parameters
    ----------
    threshold
        The finding's: probability from which a pixel is affected, and a radiograph with any such pixel. Lungs
        are another network's, and begin at :data:`~infmap_kit.model.spec.DETECTION_THRESHOLD`.
    lungs
        Whether lungs are served, which takes the paper's size of pictures.
    image_size
        Height and width of the pictures in pixels.

    Returns
    -------
    onnx.ModelProto
        ``probability`` (N, 224, 224) float32 in [0, 1] to DETECTED (N,) uint8, SEVERITY (N,)
        float32 in percent of the image, and PROBABILITY, unchanged.

        With lungs ``lung_probability``, of the same shape, is read too. SEVERITY is then in percent of the
        lungs, and of the image where SEVERITY_OF_LUNGS (N,) uint8 is 0, since no lung was found. LUNGS
        (N, 224, 224) uint8 is 0 or 1; LUNG_SEVERITY (N, 2) and ZONE_SEVERITY (N, 6) float32 are in the order
        of :class:`~infmap_kit.answer.severity.LungAnswer`, NaN where there is nothing to divide by;
        SEVERITY_AT (N, 5) float32 is SEVERITY at other thresholds.
    """
    text = _LUNG_TEXT if lungs else _TEXT
    # One constant where the two are equal, as in every graph that was published.
    thresholds = {threshold: "threshold"}
    lung_threshold = thresholds.setdefault(DETECTION_THRESHOLD, "lung_threshold")
    declared = ", ".join(f"float {name} = {{{value}}}" for value, name in thresholds.items())
    model = onnx.parser.parse_model(
        text.format(
            ir_version=IR_VERSION,
            opset=OPSET,
            threshold=threshold,
            thresholds=declared,
            lung_threshold=lung_threshold,
            size=image_size,
        )
    )
    if lungs:
        model.graph.initializer.extend(
            numpy_helper.from_array(values, name) for name, values in _lung_constants().items()
        )
    onnx.checker.check_model(model, full_check=True)
    return model


def _lung_constants() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    rank = np.full(IMAGE_SIZE, _NEVER, np.float32)
    rank[sorted(CENTRAL_COLUMNS, key=nearness)] = np.arange(len(CENTRAL_COLUMNS))
    return {
        "rank": rank,
        "place": np.arange(IMAGE_SIZE, dtype=np.float32),
        "levels": np.array(THRESHOLDS, np.float32).reshape(1, -1, 1, 1),
        "nan": np.array(np.nan, np.float32),
    }

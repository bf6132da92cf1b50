"""Files out: ONNX, symbol and int8."""

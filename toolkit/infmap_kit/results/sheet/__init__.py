"""The sheet of a Secondary Capture: radiograph and map, with everything that says what they mean."""

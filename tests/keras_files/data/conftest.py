"""The script beside needs Keras, which the tests do not."""

collect_ignore = ["make_keras_files.py"]

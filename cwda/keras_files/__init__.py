"""Files of Keras and other HDF5 files: which variable is the kernel of which layer."""

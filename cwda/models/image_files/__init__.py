"""Files of labelled images: arrays, and folders of pictures."""

"""Independent estimates of a derivative, and the decision whether a closed form agrees with one."""

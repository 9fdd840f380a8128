def wake_factor(*a):
    return []

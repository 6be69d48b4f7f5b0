"""Running a flow: the state table, the events, and the driver that feeds the machine."""

"""Agents that are programs: started, fed, listened to, and gone with all they started."""

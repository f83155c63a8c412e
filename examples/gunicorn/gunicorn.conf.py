"""Four workers that are replaced all the time, to show that the numbers do not mind."""
import os

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = 4
max_requests = 500
max_requests_jitter = 50

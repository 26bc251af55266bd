"""What a run reports: statistics, the HTML page, live views."""

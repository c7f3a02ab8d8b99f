"""Each credential read that the log tells of, for whoever asks the database itself."""

_BY_THEMSELVES = "SELECT request_id, user_id FROM entries WHERE action = 'credential.read' AND marks IS NULL"
EACH_READ = {
    "sqlite": _BY_THEMSELVES,
    "postgresql": f"{_BY_THEMSELVES} UNION ALL SELECT coalesce(nullif(told->>3, ''), 'req_' || (told->>1)), told->>2"
    " FROM entries, json_array_elements(data->'reads') AS told WHERE marks IS NOT NULL",
}
"""SQL, by engine: the request's id and the user's. On PostgreSQL one entry may tell of many (`events.gathered`)."""

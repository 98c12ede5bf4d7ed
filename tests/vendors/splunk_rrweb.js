// What Splunk's session recorder 0.24, the last that recorded with rrweb, sends: rrweb events as OTLP/JSON logs, numbers
// as doubles, milliseconds for nanoseconds, the session on the resource. npm has rrweb 1.1.3, which it was built on.
function startSplunkRrweb({ url, session, page, chunkBytes = 950 * 1024 }) {
  const number = (value) => ({ doubleValue: value });
  const attributes = (values) => Object.entries(values).map(([key, value]) => ({ key, value }));
  const resource = {
    attributes: attributes({
      "splunk.rumSessionId": { stringValue: session },
      "splunk.scriptInstance": { stringValue: page },
      app: { stringValue: "shop" },
    }),
  };
  let logs = [];
  let events = 0;
  let offset = 0;

  rrwebRecord({
    emit(event) {
      const bytes = new TextEncoder().encode(JSON.stringify(event));
      const chunks = Math.ceil(bytes.byteLength / chunkBytes);
      events += 1;
      for (let chunk = 0; chunk < chunks; chunk++) {
        logs.push({
          body: { stringValue: new TextDecoder().decode(bytes.slice(chunk * chunkBytes, (chunk + 1) * chunkBytes)) },
          timeUnixNano: event.timestamp,
          attributes: attributes({
            "rr-web.offset": number(++offset),
            "rr-web.event": number(events),
            "rr-web.chunk": number(chunk + 1),
            "rr-web.total-chunks": number(chunks),
          }),
        });
      }
    },
  });

  setInterval(async () => {
    if (!logs.length) return;
    const scopeLogs = [{ scope: { name: "splunk.rr-web", version: "0.24.0" }, logRecords: logs.splice(0) }];
    const json = new Blob([JSON.stringify({ resourceLogs: [{ resource, scopeLogs }] })]);
    const body = await new Response(json.stream().pipeThrough(new CompressionStream("gzip"))).blob();
    const headers = { "Content-Type": "application/json", "Content-Encoding": "gzip" };
    await fetch(`${url}/v1/rumreplay?auth=PUBLIC`, { method: "POST", body, headers });
  }, 500);
}

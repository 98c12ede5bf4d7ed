// rrweb as its guide shows it (https://github.com/rrweb-io/rrweb/blob/main/guide.md), but compressed, and every 2 s.
function startPlainRrweb(address) {
  let events = [];
  rrwebRecord.record({ emit: (event) => events.push(event) });
  const save = async () => {
    if (events.length === 0) return;
    const body = JSON.stringify({ events });
    events = [];
    const gzip = await new Response(new Blob([body]).stream().pipeThrough(new CompressionStream("gzip"))).arrayBuffer();
    const headers = { "Content-Type": "application/json", "Content-Encoding": "gzip" };
    await fetch(address, { method: "POST", headers, body: gzip });
  };
  setInterval(save, 2_000);
}

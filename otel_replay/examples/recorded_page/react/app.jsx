// The order page with React: `useSessionRecording` records it, the buttons are the visitor's.
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { useSessionRecording } from "otel-replay-browser/react";

const words = { recording: "Recording", paused: "Paused", stopped: "Not recorded" };

function Order({ receiver, userId }) {
  const { state, sessionId, start, stop, pause, resume } = useSessionRecording({
    endpoint: receiver,
    serviceName: "react-example",
    feature: "order",
    userId,
  });
  const [lines, setLines] = useState([]);
  return (
    <>
      <header className="rr-block">
        <span role="status" data-session={sessionId}>{words[state]}</span>
        {state === "stopped" && <button onClick={start}>Start recording</button>}
        {state === "recording" && <button onClick={pause}>Pause</button>}
        {state === "paused" && <button onClick={resume}>Go on</button>}
        {state !== "stopped" && <button onClick={stop}>Stop</button>}
      </header>
      <button id="add" onClick={() => setLines([...lines, `book ${lines.length + 1}`])}>Add a book</button>
      <ul>{lines.map((line) => <li key={line}>{line}</li>)}</ul>
    </>
  );
}

function App() {
  const [userId, setUserId] = useState("u1");
  const [isShown, setShown] = useState(true);
  return (
    <StrictMode>
      {isShown && <Order receiver={document.body.dataset.receiver} userId={userId} />}
      <button id="login" onClick={() => setUserId("u2")}>Log in as u2</button>
      <button id="close" onClick={() => setShown(false)}>Close the order</button>
    </StrictMode>
  );
}

createRoot(document.getElementById("root")).render(<App />);

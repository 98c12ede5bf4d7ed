// Splunk's browser SDK as one script for the test page: `Splunk.Rum` and `Splunk.Recorder`.
import Rum from "@splunk/otel-web";
import Recorder from "@splunk/otel-web-session-recorder";

window.Splunk = { Rum, Recorder };

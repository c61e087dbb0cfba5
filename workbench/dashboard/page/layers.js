// Which step's layers the server compares over the selected samples: that of the snapshot which is shown, told once a
// reader rests there, because the networks have to be asked anew. The answer comes as a frame, see carrier.py, kept.js.

const LAYERS_REST_MS = 250;

function followLayers(tell) {
  let sent = null;
  let timer = 0;
  const say = () => {
    const step = globalThis[CHOSEN].text ? (globalThis[SHOWN]?.step ?? null) : null;
    if (step === sent) return;
    sent = step;
    tell({ do: "layers", step });
  };
  const rest = () => {
    clearTimeout(timer);
    timer = setTimeout(say, LAYERS_REST_MS);
  };
  addEventListener("workbench-shown", rest);
  addEventListener(TURNED, rest);
}

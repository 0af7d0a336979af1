// Shows the frames of a training, all panels together. The panels' axes are in the page already;
// here their lines move. Data: the JSON of #frames, large arrays as base64 of bytes.
(() => {
  const data = JSON.parse(document.getElementById("frames").textContent);
  const player = document.getElementById("player"), part = name => player.querySelector(name);
  const slider = part("input"), play = part(".play"), told = part("output");
  const count = data.steps.length, F = data.features, d = data.d;
  const middle = data.steps.indexOf(data.clean);  // the frame at the end of clean training
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const map = bytes(data.map), pushes = new Int8Array(bytes(data.perturbations).buffer);
  const FRAME = 130, REST = 900;  // milliseconds a frame is seen, and the end of a phase

  // Red and blue as in the figures: 128 is white, 0 (no neuron) too; a neuron's own feature is black.
  const SHADES = [[5, 48, 97], [67, 147, 195], [209, 229, 240], [255, 255, 255], [253, 219, 199],
                  [214, 96, 77], [103, 0, 31]];
  const shade = value => {
    const place = (value - 1) / 254 * (SHADES.length - 1), low = Math.min(Math.floor(place), 5);
    return SHADES[low].map((one, c) => one + (place - low) * (SHADES[low + 1][c] - one));
  };
  const palette = Array.from({length: 256}, (_, value) => value ? shade(value) : [255, 255, 255]);

  function paint(canvas, frame) {
    canvas.width = canvas.height = F;
    const context = canvas.getContext("2d"), image = context.createImageData(F, F);
    for (let row = 0; row < F; row++) {
      for (let column = 0; column < F; column++) {
        const at = row * F + column, value = map[frame * F * F + at];
        const colour = value && row === column ? [0, 0, 0] : palette[value];
        image.data.set([...colour, 255], 4 * at);
      }
    }
    context.putImageData(image, 0, 0);
  }

  // A panel's scales are told by its svg: data-x="from to", data-y, and the box "left top right bottom".
  function scales(svg) {
    const numbers = name => svg.dataset[name].split(" ").map(Number);
    const [x0, x1] = numbers("x"), [y0, y1] = numbers("y"), [left, top, right, bottom] = numbers("box");
    return [x => (left + (x - x0) / (x1 - x0) * (right - left)).toFixed(1),
            y => (bottom - (y - y0) / (y1 - y0) * (bottom - top)).toFixed(1)];
  }
  const line = (xs, ys, [x, y]) => xs.map((value, i) => `${i ? "L" : "M"}${x(value)} ${y(ys[i])}`).join("");

  const ratio = part("#ratio"), accuracy = part("#accuracy"), bars = player.querySelectorAll(".bars");
  const ofRatio = scales(ratio), ofAccuracy = scales(accuracy);

  function show(frame) {
    const step = data.steps[frame], isClean = step <= data.clean;
    player.dataset.phase = isClean ? "clean" : "adversarial";
    paint(part("#map"), frame);
    for (const [name, from, to] of [["before", 0, Math.min(frame, middle)], ["after", middle, frame]]) {
      const seen = data.ratio.slice(from, to + 1);
      part(`#ratio .${name}`).setAttribute("d", line(seen.map((_, i) => from + i), seen, ofRatio));
    }
    part("#ratio circle").setAttribute("cx", ofRatio[0](frame));
    part("#ratio circle").setAttribute("cy", ofRatio[1](data.ratio[frame]));
    bars.forEach((svg, sample) => {
      const [x, y] = scales(svg), zero = y(0), first = (frame * bars.length + sample) * d;
      let path = "";
      for (let j = 0; j < d; j++) path += `M${x(j)} ${zero}V${y(pushes[first + j] / 127)}`;
      svg.querySelector(".moving").setAttribute("d", path);
    });
    for (const attack of ["universal", "fgm"]) {
      const right = data[attack][frame], share = right.map(n => n / data.samples);
      part(`#accuracy .${attack}`).setAttribute("d", line(data.radii, share, ofAccuracy));
      const band = line(data.radii, right.map(n => data.high[n]), ofAccuracy)
        + line([...data.radii].reverse(), right.map(n => data.low[n]).reverse(), ofAccuracy)
            .replace("M", "L") + "Z";
      part(`#accuracy .${attack}-band`).setAttribute("d", band);
    }
    slider.value = frame;
    const phase = step === 0 ? "before training" : isClean ? "clean training"
      : "adversarial training";
    told.textContent = `step ${step}`;
    slider.setAttribute("aria-valuetext", `step ${step}, ${phase}, mixture ratio ${data.ratio[frame].toFixed(3)}`);
    stops.forEach(stop => stop.setAttribute("aria-pressed", Number(stop.dataset.frame) === frame));
  }

  let timer = 0;
  const frame = () => Number(slider.value);
  function pause() {
    clearTimeout(timer);
    timer = 0;
    play.textContent = "▶ Play";
  }
  function next() {
    if (frame() >= count - 1) return pause();
    show(frame() + 1);
    timer = setTimeout(next, data.steps[frame()] === data.clean ? REST : FRAME);
  }
  function toggle() {
    if (timer) return pause();
    if (frame() >= count - 1 || player.dataset.touched === undefined) show(0);
    player.dataset.touched = "";
    play.textContent = "❚❚ Pause";
    timer = setTimeout(next, FRAME);
  }
  function go(to) {
    pause();
    player.dataset.touched = "";
    show(Math.max(0, Math.min(count - 1, to)));
  }

  const stops = [...player.querySelectorAll(".stop")];
  for (const stop of stops) {
    paint(stop.querySelector("canvas"), Number(stop.dataset.frame));
    stop.addEventListener("click", () => go(Number(stop.dataset.frame)));
  }
  play.addEventListener("click", toggle);
  slider.addEventListener("input", () => go(frame()));
  player.addEventListener("keydown", event => {
    if (event.key !== " " || event.target.tagName === "BUTTON") return;
    event.preventDefault();
    toggle();
  });
  // A finger or the mouse on the curve of the mixture ratio moves the time too.
  ratio.addEventListener("pointerdown", event => { ratio.setPointerCapture(event.pointerId); drag(event); });
  ratio.addEventListener("pointermove", event => { if (event.buttons) drag(event); });
  function drag(event) {
    const box = ratio.getBoundingClientRect(), wide = ratio.viewBox.baseVal.width;
    const at = (event.clientX - box.left) / box.width * wide;
    const far = data.steps.map((_, frame) => Math.abs(ofRatio[0](frame) - at));
    go(far.indexOf(Math.min(...far)));
  }
  player.hidden = false;
  show(frame());
})();

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

  // Words beside a point, on the side where there is room.
  function tell(svg, words, x, y) {
    const now = svg.querySelector(".now"), atEnd = x > 0.6 * svg.viewBox.baseVal.width;
    now.textContent = words;
    now.setAttribute("x", Number(x) + (atEnd ? -9 : 9));
    now.setAttribute("y", Number(y) + (y < 34 ? 18 : -7));
    now.setAttribute("text-anchor", atEnd ? "end" : "start");
    const circle = svg.querySelector("circle");
    circle.setAttribute("cx", x);
    circle.setAttribute("cy", y);
  }
  function between(xs, ys, x) {
    const after = Math.max(1, xs.findIndex(value => value >= x)), before = after - 1;
    return ys[before] + (ys[after] - ys[before]) * (x - xs[before]) / (xs[after] - xs[before]);
  }

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
    tell(ratio, data.ratio[frame].toFixed(3), ofRatio[0](frame), ofRatio[1](data.ratio[frame]));
    bars.forEach((svg, sample) => {
      const [x, y] = scales(svg), zero = y(0), first = (frame * bars.length + sample) * d;
      let path = "", squares = 0, fourths = 0;
      for (let j = 0; j < d; j++) {
        const push = pushes[first + j] / 127;
        path += `M${x(j)} ${zero}V${y(push)}`;
        squares += push ** 2;
        fourths += push ** 4;
      }
      svg.querySelector(".moving").setAttribute("d", path);
      svg.querySelector(".now").textContent = fourths
        ? `spread over ${Math.round(squares ** 2 / fourths)} of ${d} features` : "";
    });
    for (const attack of ["universal", "fgm"]) {
      const right = data[attack][frame], share = right.map(n => n / data.samples);
      part(`#accuracy .${attack}`).setAttribute("d", line(data.radii, share, ofAccuracy));
      const band = line(data.radii, right.map(n => data.high[n]), ofAccuracy)
        + line([...data.radii].reverse(), right.map(n => data.low[n]).reverse(), ofAccuracy)
            .replace("M", "L") + "Z";
      part(`#accuracy .${attack}-band`).setAttribute("d", band);
    }
    const right = between(data.radii, data.fgm[frame].map(n => n / data.samples), data.tau);
    tell(accuracy, `${Math.round(100 * right)} % right at τ`, ofAccuracy[0](data.tau),
         ofAccuracy[1](right));
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

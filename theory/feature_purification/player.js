// Shows the frames of a training, all panels together. The panels' axes are in the page already;
// here their lines move. Data: the JSON of #frames, large arrays as base64 of bytes.
(() => {
  const data = JSON.parse(document.getElementById("frames").textContent);
  const player = document.getElementById("player"), part = name => player.querySelector(name);
  const slider = part("input"), play = part(".play"), told = part("output");
  const count = data.steps.length, F = data.features.length, d = data.d;
  const middle = data.steps.indexOf(data.clean);  // the frame at the end of clean training
  const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const FINEST = 32767, bars = text => new Int16Array(bytes(text).buffer);
  const map = bytes(data.map), pushes = bars(data.perturbations), neuron = bars(data.neuron);
  const FRAME = 130, REST = 900;  // milliseconds a frame is seen, and the end of a phase

  // Red and blue as in the figures, grey to black for a neuron's own feature: 128 is white, 0 (no
  // neuron) too.
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
        const own = value ? Math.min(255, 2 * (255 - value)) : 255;
        image.data.set([...(row === column ? [own, own, own] : palette[value]), 255], 4 * at);
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

  const plain = (value, digits) => value.toFixed(digits).replace(/^-(0\.0+)$/, "$1");  // no -0.00
  const say = (svg, words) => { svg.querySelector(".now").textContent = words; };
  function point(svg, x, y) {
    const circle = svg.querySelector("circle");
    circle.setAttribute("cx", x);
    circle.setAttribute("cy", y);
  }
  function between(xs, ys, x) {
    const after = Math.max(1, xs.findIndex(value => value >= x)), before = after - 1;
    return ys[before] + (ys[after] - ys[before]) * (x - xs[before]) / (xs[after] - xs[before]);
  }

  const ratio = part("#ratio"), accuracy = part("#accuracy"), alone = part("#neuron");
  const fooling = player.querySelectorAll(".bars");
  const ofRatio = scales(ratio), ofAccuracy = scales(accuracy);

  // The path of bars from 0, of those that are chosen.
  function drawn(svg, values, place, chosen) {
    const [x, y] = scales(svg), zero = y(0);
    return [...values].map((value, i) =>
      chosen(value, i) ? `M${x(place(i))} ${zero}V${y(value / FINEST)}` : "").join("");
  }
  function showNeuron(values) {
    const kinds = {towards: (value, i) => i !== data.row && value > 0,
                   against: (value, i) => i !== data.row && value < 0, own: (_, i) => i === data.row};
    for (const [kind, chosen] of Object.entries(kinds)) {
      alone.querySelector("." + kind).setAttribute("d", drawn(alone, values, i => data.features[i], chosen));
    }
    const own = values[data.row], others = values.reduce((sum, one) => sum + one, -own);
    const [size, sum] = [own, others].map(value => plain(data.reach * value / FINEST, 2));
    say(alone, `its own ${size}, sum of the others ${sum}`);
  }

  function show(frame) {
    const step = data.steps[frame], isClean = step <= data.clean;
    player.dataset.phase = isClean ? "clean" : "adversarial";
    paint(part("#map"), frame);
    for (const [name, from, to] of [["before", 0, Math.min(frame, middle)], ["after", middle, frame]]) {
      const seen = data.ratio.slice(from, to + 1);
      part(`#ratio .${name}`).setAttribute("d", line(seen.map((_, i) => from + i), seen, ofRatio));
    }
    point(ratio, ofRatio[0](frame), ofRatio[1](data.ratio[frame]));
    const mixture = plain(data.ratio[frame], 3);
    say(ratio, `others on average ${mixture} of its own`);
    showNeuron(neuron.subarray(frame * F, (frame + 1) * F));
    fooling.forEach((svg, sample) => {
      const first = (frame * fooling.length + sample) * d;
      const push = pushes.subarray(first, first + d), [squares, fourths] = [2, 4].map(
        power => push.reduce((sum, one) => sum + (one / FINEST) ** power, 0));
      svg.querySelector(".moving").setAttribute("d", drawn(svg, push, j => j, () => true));
      say(svg, fourths ? `spread over ${Math.round(squares ** 2 / fourths)} of ${d} features` : "");
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
    point(accuracy, ofAccuracy[0](data.tau), ofAccuracy[1](right));
    say(accuracy, `${Math.round(100 * right)} % right at τ`);
    for (const [phase, end] of [["clean", middle], ["adversarial", count - 1]]) {
      part(`#accuracy .end-${phase}`)?.classList.toggle("over", frame >= end);
    }
    slider.value = frame;
    const phase = step === 0 ? "before training" : isClean ? "clean training"
      : "adversarial training";
    told.textContent = isClean ? `step ${step}` : `step ${data.clean} + ${step - data.clean}`;
    slider.setAttribute("aria-valuetext", `step ${step}, ${phase}, mixture ratio ${mixture}`);
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

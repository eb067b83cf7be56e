// SPDX-License-Identifier: Apache-2.0
// Example questions, in the words that the models were trained with.

const EXAMPLES = [
  ["Read the text", "Read all the text in the image."],
  ["Boxes", "Locate every red circle in the image and output the coordinates in JSON format."],
  ["Points", "Point to the blue square."],
  ["Document", "QwenVL HTML"],
  ["Events", "Localize a series of activity events in the video, output the start and end timestamp for each"
    + " event, along with detailed sentences. Provide the result in json format with 'mm:ss.ff' format for time depiction."],
];

const question = document.getElementById("question");
for (const [label, text] of EXAMPLES) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.title = text;
  button.addEventListener("click", () => {
    question.value = text;
    question.focus();
  });
  document.getElementById("examples").append(button);
}

// A page opened from a file gets no Worker, and without one it could not be searched: this one runs the script in a frame of the page.
if (location.protocol === "file:") {
  window.Worker = class {
    onmessage = null;
    onerror = null;
    onmessageerror = null;

    constructor(address) {
      const url = new URL(address, document.baseURI);
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      this.frame.srcdoc = "<!doctype html>";
      this.inside = new Promise((started, failed) => {
        this.frame.addEventListener("load", () => {
          const inside = this.frame.contentWindow;
          inside.postMessage = (data) => this.onmessage?.({ data: structuredClone(data) });
          const script = inside.document.createElement("script");
          script.addEventListener("load", () => started(inside));
          script.addEventListener("error", failed);
          script.src = url.href;
          inside.document.head.append(script);
        });
      });
      document.body.append(this.frame);
    }

    postMessage(data) {
      const failed = () => this.onerror?.(new Event("error", { cancelable: true }));
      this.inside.then((inside) => inside.onmessage({ data: structuredClone(data) }), failed);
    }

    terminate() {
      this.frame.remove();
    }
  };
}

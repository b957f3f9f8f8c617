/**
 * Service worker: a notification's buttons, which a browser gives to service workers only. It stores
 * nothing, reads no request and answers nothing itself: it tells the pages of this server which button
 * was pressed, and the one that showed the notification answers with its own login. Where that page is
 * gone, the session opens.
 */

/** What TypeScript's library for pages does not know; the names are the browser's. */
interface Worker {
  readonly clients: {
    matchAll(options: { type: 'window'; includeUncontrolled: true }): Promise<readonly Tab[]>;
    openWindow(url: string): Promise<unknown>;
  };
  addEventListener(type: 'notificationclick', listener: (event: Click) => void): void;
}
interface Tab {
  postMessage(message: unknown, ports: MessagePort[]): void;
}
interface Click {
  readonly action: string;
  readonly notification: Notification;
  waitUntil(work: Promise<unknown>): void;
}

const PATIENCE = 1000;

async function tell(worker: Worker, { action, notification }: Click): Promise<void> {
  const { key, url } = notification.data as { key: string; url: string };
  const tabs = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const taken = await new Promise<boolean>(done => {
    setTimeout(() => done(false), tabs.length ? PATIENCE : 0);
    for (const tab of tabs) {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => done(true);
      tab.postMessage({ type: 'agent-lab:answer', key, action }, [port2]);
    }
  });
  if (!taken) {
    await worker.clients.openWindow(url);
  }
}

const worker = self as unknown as Worker;
worker.addEventListener('notificationclick', event => {
  event.notification.close();
  event.waitUntil(tell(worker, event));
});

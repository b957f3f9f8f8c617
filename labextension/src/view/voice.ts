/** Dictation through the browser's own speech recognition; off until a person turns it on. */

import type { Switch } from './host.js';

/** The part of the Web Speech API that is used; TypeScript's library does not know it. */
interface Recognition {
  continuous: boolean;
  interimResults: boolean;
  lang: string;
  onresult: ((event: { resultIndex: number; results: ArrayLike<ArrayLike<{ transcript: string }> & { isFinal: boolean }> }) => void) | null;
  onerror: ((event: { error: string }) => void) | null;
  onend: (() => void) | null;
  start(): void;
  stop(): void;
}
type Maker = new () => Recognition;

const KEY = 'agent-lab:voice';

function maker(): Maker | undefined {
  const { SpeechRecognition, webkitSpeechRecognition } = window as { SpeechRecognition?: Maker; webkitSpeechRecognition?: Maker };
  return SpeechRecognition ?? webkitSpeechRecognition;
}

export const hasVoice = (): boolean => maker() !== undefined;

/** Where the host keeps what a person chose; null: this browser does. */
let setting: Switch | null = null;

/** All panels of a page share the last host's. */
export function keepVoiceIn(host: Switch | undefined): void {
  setting = host ?? setting;
}

export function voiceIsOn(): boolean {
  if (!hasVoice()) {
    return false;
  }
  if (setting) {
    return setting.on;
  }
  try {
    return localStorage.getItem(KEY) === 'on';
  } catch {
    return false;
  }
}

export function turnVoice(on: boolean): void {
  if (setting) {
    setting.turn(on);
    return;
  }
  try {
    if (on) {
      localStorage.setItem(KEY, 'on');
    } else {
      localStorage.removeItem(KEY);
    }
  } catch {
    // Without storage it stays off.
  }
}

export interface Listener {
  /** Words that will not change any more. */
  said(text: string): void;
  /** What is heard so far, which may. */
  hearing(text: string): void;
  /** `error`: the browser's word for what went wrong, empty where nothing did. */
  ended(error: string): void;
}

/** Returns what stops it. */
export function listen(listener: Listener): () => void {
  const Recogniser = maker();
  if (!Recogniser) {
    listener.ended('not-supported');
    return () => undefined;
  }
  const recognition = new Recogniser();
  let error = '';
  recognition.continuous = true;
  recognition.interimResults = true;
  recognition.lang = document.documentElement.lang || navigator.language;
  recognition.onresult = event => {
    let open = '';
    for (let i = event.resultIndex; i < event.results.length; i += 1) {
      const result = event.results[i];
      const words = result?.[0]?.transcript ?? '';
      if (result?.isFinal) {
        listener.said(words.trim());
      } else {
        open += words;
      }
    }
    listener.hearing(open.trim());
  };
  recognition.onerror = event => {
    error = event.error;
  };
  recognition.onend = () => listener.ended(error);
  recognition.start();
  return () => recognition.stop();
}

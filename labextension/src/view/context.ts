/** How a component reaches the panel it belongs to. */

import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { Chat } from './chat.js';

const ChatContext = createContext<Chat | null>(null);
export const ChatProvider = ChatContext.Provider;

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (!chat) {
    throw new Error('A part of the panel was drawn outside of it.');
  }
  return chat;
}

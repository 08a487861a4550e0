-- A plugin that loads compiled code: there is no loader, and a module is text.
-- ends: refused: attempt to load chunk with wrong mode
return require "compiled"
